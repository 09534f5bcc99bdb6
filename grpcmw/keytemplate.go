package grpcmw

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
)

// metadataSource is the source of placeholders for the call's metadata.
const metadataSource = "metadata"

// KeyTemplate makes the key from a template such as order:{metadata.x-tenant}.
// For its syntax see [keys.Parse]; it must have a placeholder, and the only
// source is metadata. Anything else is an error of [New], never of a call.
//
// A call that lacks one of the values, or has an empty one, has no key: see
// [OnMissing]. One that has two values for a name is denied with
// [core.ReasonKeyInvalid], because the lock and the handler might each go by
// another one.
//
// A stream of any kind is locked when it opens, before its handler runs.
func KeyTemplate(template string) Key { return keyTemplate(template) }

// Metadata makes the key from one value of the call's metadata: it is the
// template {metadata.name}.
func Metadata(name string) Key { return KeyTemplate("{" + metadataSource + "." + name + "}") }

type keyTemplate string

func (text keyTemplate) compile() (compiledKey, error) {
	template, err := keys.Parse(string(text))
	if err != nil {
		return compiledKey{}, err
	}
	refs := template.Refs()
	names := make([]string, len(refs))
	var errs []error
	bad := func(offset int, reason string) {
		errs = append(errs, &keys.SyntaxError{Template: string(text), Offset: offset, Reason: reason})
	}
	if len(refs) == 0 {
		bad(0, "no placeholder: all calls would share one lock")
	}
	for i, r := range refs {
		if r.Source != metadataSource {
			bad(r.Offset, fmt.Sprintf("unknown source %q: there is %s", r.Source, metadataSource))
			continue
		}
		// Names of metadata are case-insensitive; grpc-go keeps them in lower case.
		names[i] = strings.ToLower(r.Name)
		if reason := badMetadataName(names[i]); reason != "" {
			bad(r.Offset, reason)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return compiledKey{}, err
	}
	return compiledKey{
		template: template, text: strconv.Quote(string(text)),
		values: func(ctx context.Context, _ any) ([]string, error) { return metadataValues(ctx, names) },
	}, nil
}

// badMetadataName says why no call can have metadata with this name, "" if one
// can. See "Custom-Metadata" in
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
func badMetadataName(name string) string {
	if strings.HasPrefix(name, "grpc-") {
		return fmt.Sprintf("metadata name %q is reserved by gRPC", name)
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return fmt.Sprintf("metadata name %q holds %q", name, c)
		}
	}
	return ""
}

func metadataValues(ctx context.Context, names []string) ([]string, error) {
	values := make([]string, len(names))
	for i, name := range names {
		switch all := metadata.ValueFromIncomingContext(ctx, name); {
		case len(all) > 1:
			return nil, &keyFault{part: metadataSource + "." + name, text: "has more than one value", err: core.ErrKey}
		case len(all) == 0 || all[0] == "":
			return nil, missing(metadataSource + "." + name)
		default:
			values[i] = all[0]
		}
	}
	return values, nil
}
