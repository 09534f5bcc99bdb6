package httpmw

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
)

// Key takes the key from a template (see package keys) with at least one
// placeholder out of these:
//
//	{path.id}          the path wildcard {id} of the route (http.Request.PathValue)
//	{header.X-Tenant}  the header; its name in any case
//	{query.id}         the query parameter
//
// Anything else is an error of [New], never of a request.
//
// A part that is not there or is empty is missing: see [OnMissing]. A header or
// parameter that is there more than once is refused with 400 and
// LOCK_KEY_INVALID, since this code, a proxy before it and the handler behind it
// might each read another one; so is, if a placeholder names a parameter, a
// query that cannot be parsed.
func Key(template string) KeySource { return templateSource(template) }

type templateSource string

var _ KeySource = templateSource("")

// The sources of placeholders.
const (
	sourcePath   = "path"
	sourceHeader = "header"
	sourceQuery  = "query"
)

func (text templateSource) compile() (keyMaker, error) {
	template, err := keys.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%w: httpmw: %w", core.ErrOption, err)
	}
	refs := template.Refs()
	var errs []error
	bad := func(offset int, reason string) {
		errs = append(errs, fmt.Errorf("%w: httpmw: %w", core.ErrOption,
			&keys.SyntaxError{Template: string(text), Offset: offset, Reason: reason}))
	}
	if len(refs) == 0 {
		bad(0, "no placeholder: all requests would share one lock")
	}
	for i := range refs {
		if reason := check(&refs[i]); reason != "" {
			bad(refs[i].Offset, reason)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &templateKey{template: template, refs: refs}, nil
}

// check says what is wrong with a placeholder, "" if nothing. It brings a
// header's name into the form in which net/http stores it.
func check(ref *keys.Ref) string {
	switch ref.Source {
	case sourcePath:
		if strings.HasSuffix(ref.Name, "...") || ref.Name == "$" {
			return "not the name of a path wildcard: that of {rest...} is rest, and {$} has none"
		}
	case sourceHeader:
		if strings.ContainsFunc(ref.Name, notInToken) {
			return "not a header name"
		}
		ref.Name = textproto.CanonicalMIMEHeaderKey(ref.Name)
		if ref.Name == "Host" {
			return "net/http keeps the Host header out of Request.Header: use KeyFunc and Request.Host"
		}
	case sourceQuery:
	default:
		return fmt.Sprintf("unknown source %q: there are path, header and query", ref.Source)
	}
	return ""
}

// notInToken tells whether a header name cannot hold c (RFC 9110, section
// 5.6.2). A placeholder with such a name would be missing in every request.
func notInToken(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') &&
		!strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

type templateKey struct {
	template *keys.Template
	refs     []keys.Ref
}

var _ keyMaker = (*templateKey)(nil)

func (k *templateKey) key(r *http.Request, s scope) (string, error) {
	var stack [8]string
	values := stack[:0]
	var query url.Values
	for _, ref := range k.refs {
		var value string
		var err error
		switch ref.Source {
		case sourcePath:
			value = r.PathValue(ref.Name)
		case sourceHeader:
			value, err = only(r.Header[ref.Name])
		case sourceQuery:
			if query == nil {
				if query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
					break
				}
			}
			value, err = only(query[ref.Name])
		}
		if err != nil {
			return "", fmt.Errorf("%v: %w", ref, err)
		}
		if value == "" {
			return "", fmt.Errorf("%w: %v", core.ErrKeyMissing, ref)
		}
		values = append(values, value)
	}
	text := s.text
	if s.off {
		text = ""
	}
	return k.template.Key(text, values...), nil
}

func (k *templateKey) String() string { return k.template.String() }

var errRepeated = errors.New("httpmw: more than one value")

// only returns the value that is there once, or "".
func only(values []string) (string, error) {
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", errRepeated
}
