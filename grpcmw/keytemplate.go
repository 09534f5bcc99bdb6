package grpcmw

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
)

// The sources of placeholders. A field's path has one of its own, and does not
// stand alone as in {order.id}, because a message may have a field of the name
// metadata.
const (
	fieldSource    = "field"
	metadataSource = "metadata"
	peerSource     = "peer"
	contextSource  = "context"
)

// KeyTemplate makes the key from a template such as
// order:{metadata.x-tenant}:{field.order.id}. It begins with the name of what is
// locked; for its syntax see [keys.Parse]. It must have a placeholder, out of these:
//
//	{field.order.id}      a field of the request message, by its path
//	{metadata.x-tenant}   the call's metadata; the name in any case
//	{peer.ip}             the client's IP address
//	{peer.common_name}    the name in the client's certificate, and
//	{peer.spiffe_id}      its SPIFFE ID, as far as the server's TLS has verified it
//	{context.tenant}      what a [ContextValue] of that name returns
//
// Values are compared byte by byte, so that 42 and 042 are two keys. Where handlers
// take them for the same, the placeholder needs a form ([keys.Form]):
// {metadata.x-order|int}, {field.order.id|uuid}, {metadata.x-sku|lower}. A value that
// does not have it is refused with [core.ReasonKeyInvalid]. Fields that are numbers
// need none: they are decimal as they are.
//
// Anything else is an error of [New], never of a call. Whether a request has the
// fields, [Middleware.Verify] tells.
//
// A field's path goes from field to field, by the names in the .proto file. After
// a map stands one of its keys, in backticks if it is more than letters, digits,
// - and _: {field.labels.`a.b`}. It ends in a field that is no message and not
// repeated, in a wrapper such as google.protobuf.StringValue, or in a oneof:
// {field.owner} is then the number of the field that is set and its value, 22=ada.
// Numbers are decimal, bytes hexadecimal, an enum is its number, a bool true or
// false; floating-point numbers are refused, and so is the index of a repeated
// field, whose elements have no lasting place.
//
// A call that lacks one of the values has no key: see [OnMissing]. Metadata, a
// peer's value or a ContextValue that is empty is missing. So is a field that is
// not set, which for one without explicit presence means zero or empty; one that
// is optional, in a oneof, in a map or in a wrapper is there when it is set, to
// zero as well. A call that has two values for one name of metadata is denied
// with [core.ReasonKeyInvalid], because the lock and the handler might each go by
// another one.
//
// With a field the key needs the request message: a server stream is locked when
// its request has arrived, and client and bidi streams cannot have such a key.
// Without, a stream of any kind is locked when it opens, before its handler runs.
func KeyTemplate(template string) Key { return keyTemplate(template) }

type keyTemplate string

// part is one placeholder.
type part struct {
	name string // source and name
	form keys.Form
	// read returns its value, "" if it is missing; nil for a field.
	read  func(context.Context) (string, error)
	field int // its index in fields
}

func (text keyTemplate) compile(o *options) (compiledKey, error) {
	template, err := keys.Parse(string(text))
	if err != nil {
		return compiledKey{}, err
	}
	refs := template.Refs()
	parts := make([]part, len(refs))
	named := &fields{template: string(text)}
	var errs []error
	bad := func(offset int, reason string) {
		errs = append(errs, &keys.SyntaxError{Template: string(text), Offset: offset, Reason: reason})
	}
	if len(refs) == 0 {
		bad(0, "no placeholder: all calls would share one lock (a part of the call is written {field.id}, with one brace on each side)")
	}
	for i, r := range refs {
		p := part{name: r.Source + "." + r.Name, form: r.Form}
		var fault string
		switch r.Source {
		case fieldSource:
			var path fieldPath
			path, fault = parseFieldPath(r.Name)
			p.field = len(named.paths)
			named.refs, named.paths = append(named.refs, r), append(named.paths, path)
		case metadataSource:
			// Names of metadata are case-insensitive; grpc-go keeps them in lower case.
			name := strings.ToLower(r.Name)
			p.name, fault = metadataSource+"."+name, badMetadataName(name)
			p.read = metadataValue(name)
		case peerSource:
			p.read, fault = peerValue(r.Name)
		case contextSource:
			if p.read = o.contextValues[r.Name]; p.read == nil {
				fault = fmt.Sprintf("there is no ContextValue %q", r.Name)
			}
		default:
			fault = fmt.Sprintf("unknown source %q: there are %s, %s, %s and %s", r.Source, fieldSource, metadataSource, peerSource, contextSource)
		}
		if fault != "" {
			bad(r.Offset, fault)
		}
		parts[i] = p
	}
	if err := errors.Join(errs...); err != nil {
		return compiledKey{}, err
	}
	key := compiledKey{text: strconv.Quote(string(text))}
	if len(named.paths) == 0 {
		key.of = func(ctx context.Context, _ any, fallback func(context.Context) string) (string, error) {
			values, err := valuesOf(ctx, parts, nil, nil, fallback)
			if err != nil {
				return "", err
			}
			return template.Key(values...), nil
		}
		return key, nil
	}
	key.onMessage = true
	key.fits = func(input protoreflect.MessageDescriptor, _ bool) []error {
		return named.binding(input).faults
	}
	key.of = func(ctx context.Context, req any, fallback func(context.Context) string) (string, error) {
		m, bound, err := named.in(req)
		if err != nil {
			return "", err
		}
		values, err := valuesOf(ctx, parts, m, bound, fallback)
		if err != nil {
			return "", err
		}
		return template.Key(values...), nil
	}
	return key, nil
}

// valuesOf returns the values of all parts in their forms, or a fault of the first that has none
// and no fallback either.
func valuesOf(ctx context.Context, parts []part, m protoreflect.Message, bound *binding, fallback func(context.Context) string) ([]string, error) {
	values := make([]string, len(parts))
	for i := range parts {
		p := &parts[i]
		var there bool
		if p.read == nil {
			values[i], there = bound.paths[p.field].value(m)
		} else {
			var err error
			if values[i], err = p.read(ctx); err != nil {
				return nil, err
			}
			there = values[i] != ""
		}
		if there {
			var err error
			if values[i], err = p.form.Canonical(values[i]); err != nil {
				return nil, &keyFault{part: p.name, text: "does not have the form " + string(p.form), err: core.ErrKey, cause: err}
			}
			continue
		}
		if fallback != nil {
			values[i] = fallback(ctx)
		}
		if values[i] == "" {
			return nil, missing(p.name)
		}
	}
	return values, nil
}

// errRepeated is for a value that is there more than once.
func errRepeated(part string) error {
	return &keyFault{part: part, text: "has more than one value", err: core.ErrKey}
}
