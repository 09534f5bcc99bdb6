package keys

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxTemplateLen is the longest template, in bytes.
const MaxTemplateLen = 1024

// Parse compiles a key template. In it,
//
//   - {source.name} is a placeholder. The first dot splits it; the name may hold
//     further dots, and anything else but braces: {header.X-Tenant},
//     {field.order.id}, {json./items/0/sku}.
//   - {source.name|form} brings the value into a [Form]: {path.id|int}. A bar that
//     belongs to the name is written twice: {query.a||b} is the parameter a|b.
//   - {{ and }} are braces that stand for themselves.
//   - Everything else is literal text. It is a part of the key as it is.
//
// A template begins with literal text that names what is locked, as order does in
// order:{path.id}, because the key is what the template says and nothing else:
// {path.id} would lock the order 7 and the cart 7 together. One letter or digit
// before the first placeholder is enough.
//
// Two placeholders without text between them (a:{path.a}{path.b}) get a colon in
// the key, as if it were written there, so that their values cannot run
// together. A template without any placeholder is legal: one lock for all. A
// transport may want to refuse it.
//
// The error is a [*SyntaxError] for a template that is empty, longer than
// [MaxTemplateLen], not valid UTF-8 or that holds control characters, for
// braces that are not balanced, for a placeholder that is empty, lacks its source
// or its name or has an unknown form, and for a beginning that names nothing. It
// says what was meant, most likely. Whether a source exists, and has that name, is
// for the transport to say.
func Parse(text string) (*Template, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	t := &Template{text: text}
	var literal strings.Builder
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case (c == '{' || c == '}') && i+1 < len(text) && text[i+1] == c:
			literal.WriteByte(c)
			i += 2
		case c == '}':
			return nil, syntaxError(text, i, "closing brace without an opening one (write }} for a brace in the key)")
		case c == '{':
			ref, end, err := parseRef(text, i)
			if err != nil {
				return nil, err
			}
			t.add(literal.String(), ref)
			literal.Reset()
			i = end
		case c == '%':
			literal.WriteString("%%") // a single one begins a mark
			i++
		default:
			literal.WriteByte(c)
			i++
		}
	}
	t.close(literal.String())
	if !strings.ContainsFunc(t.literals[0], isWord) {
		return nil, syntaxError(text, 0, t.nameless())
	}
	return t, nil
}

func isWord(c rune) bool { return unicode.IsLetter(c) || unicode.IsDigit(c) }

func checkText(text string) error {
	switch {
	case text == "":
		return syntaxError(text, 0, "template is empty")
	case len(text) > MaxTemplateLen:
		return syntaxError(text, MaxTemplateLen, "template is too long")
	}
	for i, r := range text {
		if r < ' ' || r >= 0x7f && r < 0xa0 { // C0, DEL and C1
			return syntaxError(text, i, "control character")
		}
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)) {
			return syntaxError(text, i, "not valid UTF-8")
		}
	}
	return nil
}

// parseRef parses the placeholder whose opening brace is at start, and returns
// the offset behind its closing one.
func parseRef(text string, start int) (ref Ref, end int, err error) {
	n := strings.IndexAny(text[start+1:], "{}")
	if n < 0 || text[start+1+n] == '{' {
		return Ref{}, 0, syntaxError(text, start, "opening brace without a closing one (write {{ for a brace in the key)")
	}
	inner := text[start+1 : start+1+n]
	source, name, dot := strings.Cut(inner, ".")
	if reason := malformed(inner, source, name, dot); reason != "" {
		return Ref{}, 0, syntaxError(text, start, reason)
	}
	name, form, reason := cutForm(name)
	if reason != "" {
		return Ref{}, 0, syntaxError(text, start, fmt.Sprintf("placeholder {%s} %s", inner, reason))
	}
	return Ref{Source: source, Name: name, Form: form, Offset: start}, start + n + 2, nil
}

// cutForm cuts the form off a placeholder's name. A bar in the name is doubled.
func cutForm(text string) (name string, form Form, reason string) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "|")
		b.WriteString(before)
		switch {
		case !found:
			return b.String(), "", ""
		case strings.HasPrefix(after, "|"):
			b.WriteByte('|')
			text = after[1:]
			continue
		case b.Len() == 0:
			return "", "", "has no name before its form"
		case !Form(after).known():
			return "", "", fmt.Sprintf("has an unknown form %q: there are %s (a bar that belongs to the name is written ||)", after, formList)
		}
		return b.String(), Form(after), ""
	}
}

// add appends the literal text before a placeholder, and the placeholder.
func (t *Template) add(literal string, ref Ref) {
	if literal == "" && len(t.refs) > 0 {
		literal = string(separator)
	}
	t.close(literal)
	t.refs = append(t.refs, ref)
}

// close appends literal text. Its first byte ends the value before it. Two
// cases need no byte of their own, because no value holds an unescaped colon or
// a double percent sign anyway: end of the key, and a literal percent sign.
func (t *Template) close(literal string) {
	if len(t.literals) > 0 {
		stop := byte(separator)
		if literal != "" {
			stop = literal[0]
		}
		t.stops = append(t.stops, stop)
	}
	t.literals = append(t.literals, literal)
}
