package httpmw

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
)

// Key takes the key from a template (see package keys) with at least one
// placeholder, such as "order:{header.X-Tenant}:{path.id}". It begins with the name
// of what is locked, and the key is what it says and nothing else: every route with
// the template order:{path.id} takes the same lock for the same order. The package's
// documentation has the table of placeholders and of their forms ({path.id|int}).
// Anything else is an error of [New], never of a request.
//
// A part that is not there or is empty is missing: see [OnMissing]. What two
// readers of the same request could read differently is refused with 400 and
// LOCK_KEY_INVALID: a header, parameter, cookie or JSON member that is there more
// than once, and a query, form or JSON document that cannot be parsed. This code,
// a proxy before it and the handler behind it might else each go by another one.
//
// Parts in the body are read last, if no other part is missing.
func Key(template string, opts ...KeyOption) KeySource { return templateSource{template, opts} }

// KeyOption configures [Key].
type KeyOption interface{ applyKey(*contextValues) }

type templateSource struct {
	text string
	opts []KeyOption
}

var _ KeySource = templateSource{}

func (s templateSource) compile() (keyMaker, error) {
	var values contextValues
	for _, opt := range s.opts {
		if opt != nil {
			opt.applyKey(&values)
		}
	}
	errs := values.errs
	template, err := keys.Parse(s.text)
	if err != nil {
		return nil, errors.Join(append(errs, fmt.Errorf("%w: httpmw: %w", core.ErrOption, err))...)
	}
	bad := func(offset int, reason string) {
		errs = append(errs, fmt.Errorf("%w: httpmw: %w", core.ErrOption,
			&keys.SyntaxError{Template: s.text, Offset: offset, Reason: reason}))
	}
	refs := template.Refs()
	if len(refs) == 0 {
		bad(0, "no placeholder: all requests would share one lock (a part of the request is written {path.id}, with one brace on each side)")
	}
	k := &templateKey{template: template, parts: make([]part, len(refs))}
	for i, ref := range refs {
		p, offset, reason := newPart(ref, &values)
		if reason != "" {
			bad(ref.Offset+offset, reason)
		}
		k.parts[i] = p
		k.body = k.body || p.inBody()
	}
	errs = append(errs, values.unused()...)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return k, nil
}

type templateKey struct {
	template *keys.Template
	parts    []part
	body     bool // some part is in the body
}

var _ keyMaker = (*templateKey)(nil)

func (k *templateKey) key(r *http.Request, t keyTerms) (string, error) {
	var stack [8]string
	values := stack[:min(len(k.parts), len(stack))]
	if len(k.parts) > len(stack) {
		values = make([]string, len(k.parts))
	}
	in := reading{request: r, body: t.body}
	for _, inBody := range [...]bool{false, true} {
		if inBody && !k.body {
			break
		}
		for i := range k.parts {
			p := &k.parts[i]
			if p.inBody() != inBody {
				continue
			}
			value, err := in.value(p)
			if err != nil {
				return "", fmt.Errorf("%v: %w", p.Ref, err)
			}
			if value == "" {
				if value, err = p.missing(r, t); err != nil {
					return "", err
				}
			}
			values[i] = value
		}
	}
	return k.template.Key(values...), nil
}

func (k *templateKey) readsBody() bool { return k.body }

func (k *templateKey) String() string { return k.template.String() }

// notInToken tells whether the name of a header or cookie cannot hold c (RFC 9110,
// section 5.6.2). A placeholder with such a name would be missing in every request.
func notInToken(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') &&
		!strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}
