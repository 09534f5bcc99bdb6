package keys

import (
	"fmt"
	"strings"
)

// Template is a compiled key template: see [Parse]. It is immutable and safe
// for concurrent use.
type Template struct {
	text string
	refs []Ref
	// literals has the text before each placeholder and after the last one, as
	// it stands in keys.
	literals []string
	// stops has, for each placeholder, the byte that ends its value in a key.
	stops []byte
}

// Ref is one placeholder of a template: {Source.Name} or {Source.Name|Form}.
type Ref struct {
	// Source is where the value comes from ("path", "header"), the text before
	// the first dot. Which sources there are is up to the transport.
	Source string
	// Name is the text after the first dot, and may hold further dots.
	Name string
	// Form is what the value is brought into before it goes to [Template.Key].
	// That is for the transport to do, with [Form.Canonical].
	Form Form
	// Offset is the byte in the template at which the placeholder's opening
	// brace stands: what a transport needs for a [*SyntaxError] of its own.
	Offset int
}

// String returns the placeholder as it is written.
func (r Ref) String() string {
	text := "{" + r.Source + "." + strings.ReplaceAll(r.Name, "|", "||")
	if r.Form != "" {
		text += "|" + string(r.Form)
	}
	return text + "}"
}

// Refs returns the template's placeholders in the order in which they stand. A
// placeholder that stands there twice is returned twice. The slice is the
// caller's own.
func (t *Template) Refs() []Ref { return append([]Ref(nil), t.refs...) }

// String returns the text that the template was parsed from.
func (t *Template) String() string { return t.text }

// Key returns the lock key for the values of the placeholders, one for each of
// [Template.Refs] and in that order. It panics if their number differs: a key
// with a value missing would lock the wrong thing, and there is no request for
// which that is right.
//
// The resulting text is the key, and nothing is added to it. So order:{path.id}
// of each HTTP route, order:{field.order_id} of a gRPC method and
// [Join]("order", id) are one key for the same order: they exclude each other.
//
// For one template, different values never give the same key: they are escaped
// such that they cannot imitate the literal text around them. Two templates that
// must not share locks need literal text that differs, from colon to colon, at the
// same place (order:{x}, cart:{x}): no value can forge that, since a colon in a
// value is escaped. a:{x} with the value b is the key of the template a:b.
//
// Beyond [MaxLen] bytes "never" means: unless SHA-256 collides. Key allocates
// once for a key that is not hashed. It does not apply forms.
func (t *Template) Key(values ...string) string {
	if len(values) != len(t.refs) {
		panic(fmt.Sprintf("keys: template %q has %d placeholders, got %d values", t.text, len(t.refs), len(values)))
	}
	var stack [bufferSize]byte
	b := stack[:0]
	for i, v := range values {
		b = append(b, t.literals[i]...)
		b = appendEscaped(b, v, t.stops[i])
	}
	b = append(b, t.literals[len(values)]...)
	return finish(b)
}
