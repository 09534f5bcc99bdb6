package keys

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

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

// nameless says what is wrong with a template whose beginning names nothing, and
// proposes one that is right.
func (t *Template) nameless() string {
	if len(t.refs) == 0 {
		return "nothing but punctuation: a key names what is locked, as in order:{path.id}"
	}
	about := t.resourceRef()
	return fmt.Sprintf("nothing before the first placeholder names what is locked, as order does in order:%s: write %s:%s, "+
		"so that other resources have other locks", about, resource(about), t.text[t.refs[0].Offset:])
}

// resourceRef returns the placeholder that most likely tells one resource from
// another: the last one that is neither a tenant nor a session.
func (t *Template) resourceRef() Ref {
	for _, r := range slices.Backward(t.refs) {
		switch r.Source {
		case "path", "field", "query", "form", "json":
			return r
		}
	}
	return t.refs[len(t.refs)-1]
}

// resource guesses what a placeholder is of: {path.order_id} of an order.
func resource(of Ref) string {
	words := strings.FieldsFunc(of.Name, func(c rune) bool { return c > unicode.MaxASCII || !isWord(c) })
	for _, w := range slices.Backward(words) {
		w = strings.TrimSuffix(strings.TrimSuffix(w, "ID"), "Id") // orderId
		switch w = strings.ToLower(w); {
		case w == "", w == "id", w == "x", w == "key", w == "uuid", w[0] <= '9':
			continue
		}
		return w
	}
	return "order"
}
