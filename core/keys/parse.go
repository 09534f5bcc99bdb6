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
//   - {{ and }} are braces that stand for themselves.
//   - Everything else is literal text. It is a part of the key as it is.
//
// Two placeholders without text between them ({path.a}{path.b}) get a colon in
// the key, as if it were written there, so that their values cannot run
// together. A template without any placeholder is legal: one lock for all. A
// transport may want to refuse it.
//
// The error is a [*SyntaxError] for a template that is empty, longer than
// [MaxTemplateLen], not valid UTF-8 or that holds control characters, for
// braces that are not balanced, and for a placeholder that is empty or lacks
// its source or its name: it then says what was meant, most likely. Whether a
// source exists, and has that name, is for the transport to say.
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
	return t, nil
}

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
	return Ref{Source: source, Name: name, Offset: start}, start + n + 2, nil
}

// exampleOf has, for the sources of the transports, what a name may look like. It
// is for proposals: which sources there are is for the transport to say.
func exampleOf(source string) (name string, known bool) {
	switch source {
	case "path", "query", "form", "cookie", "field":
		return "id", true
	case "header":
		return "X-Tenant", true
	case "metadata":
		return "x-tenant", true
	case "context":
		return "tenant", true
	case "json":
		return "/id", true
	case "request":
		return "host", true
	case "peer":
		return "ip", true
	}
	return "id", false
}

// malformed says what is wrong with a placeholder, and what was meant, most likely;
// "" if it is well-formed.
func malformed(inner, source, name string, dot bool) string {
	example, known := exampleOf(source)
	switch {
	case strings.TrimSpace(inner) == "":
		return "placeholder is empty: write " + proposal("id")
	case source == "":
		return fmt.Sprintf("placeholder {%s} has no source before its dot: write %s", inner, proposal(name))
	case dot && name == "":
		return fmt.Sprintf("placeholder {%s} has no name after its dot: write what to take from there, such as {%s.%s}", inner, source, example)
	case dot && strings.ContainsFunc(source, notInSource):
		return fmt.Sprintf("placeholder {%s} has a source that is none (%q): a source is letters, digits, - and _", inner, source)
	case dot && name == ".." && !known: // {id...}, as routers write it
		inner = source
	case dot:
		return ""
	case known:
		return fmt.Sprintf("placeholder {%s} has no name: write what to take from there, such as {%s.%s}", inner, source, example)
	}
	// {path:id}, {path/id}: another sign than the dot.
	if i := strings.IndexFunc(inner, notInSource); i > 0 {
		source, name := strings.TrimRight(inner[:i], "-"), strings.TrimFunc(inner[i:], notInSource)
		if _, known := exampleOf(source); known && name != "" {
			return fmt.Sprintf("placeholder {%s} has no dot between its source and its name: write {%s.%s}", inner, source, name)
		}
	}
	return fmt.Sprintf("placeholder {%s} has no source: write where the value comes from, such as %s", inner, proposal(inner))
}

// proposal is what a placeholder for the name may look like.
func proposal(name string) string {
	// As routers write it: {id:[0-9]+}, {id...}, {:id}, {$id}, {id?}.
	name = strings.TrimLeftFunc(name, notInSource)
	if i := strings.IndexFunc(name, notInSource); i >= 0 {
		name = name[:i]
	}
	if name == "" {
		name = "id"
	}
	return strings.NewReplacer("NAME", name).Replace("{path.NAME}, {query.NAME} or {header.NAME} for HTTP, {field.NAME} or {metadata.NAME} for gRPC")
}

// notInSource reports whether the name of a source cannot hold c.
func notInSource(c rune) bool {
	return c != '-' && c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c)
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
