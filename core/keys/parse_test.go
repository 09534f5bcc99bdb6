package keys_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core/keys"
)

func TestParseFindsThePlaceholders(t *testing.T) {
	for _, c := range []struct {
		template string
		want     []keys.Ref
	}{
		{"nightly", nil},
		{"o{path.id}", []keys.Ref{{Source: "path", Name: "id", Offset: 1}}},
		{"order:{header.X-Tenant}:{path.id}", []keys.Ref{{"header", "X-Tenant", "", 6}, {"path", "id", "", 24}}},
		{"order:{field.order.id|int}", []keys.Ref{{"field", "order.id", keys.Int, 6}}},
		{"o{json./items/0/s k:u%}", []keys.Ref{{"json", "/items/0/s k:u%", "", 1}}},
		{"o{a..}", []keys.Ref{{"a", ".", "", 1}}},
		{"1{{{path.id|lower}}}", []keys.Ref{{"path", "id", keys.Lower, 3}}},
		{"{{path.id}}", nil},
		{"a{{{path.id}", []keys.Ref{{"path", "id", "", 3}}},
		{"a{a.b}{a.b|uuid}", []keys.Ref{{"a", "b", "", 1}, {"a", "b", keys.UUID, 6}}},
		{"é{ctx.ü}", []keys.Ref{{"ctx", "ü", "", 2}}},
		{"-é-{a.b}", []keys.Ref{{"a", "b", "", 4}}},
		{"o{query.a||b}", []keys.Ref{{"query", "a|b", "", 1}}},
		{"o{query.a||int}", []keys.Ref{{"query", "a|int", "", 1}}},
		{"o{query.||||a|||int}", []keys.Ref{{"query", "||a|", keys.Int, 1}}},
		{strings.Repeat("x", keys.MaxTemplateLen), nil},
	} {
		tmpl, err := keys.Parse(c.template)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.template, err)
			continue
		}
		if got := tmpl.Refs(); !slices.Equal(got, c.want) {
			t.Errorf("Parse(%q) refers to %v, want %v", c.template, got, c.want)
		}
		for _, r := range tmpl.Refs() {
			if !strings.HasPrefix(c.template[r.Offset:], r.String()) {
				t.Errorf("Parse(%q): the placeholder %+v is written as %v", c.template, r, r)
			}
		}
		if tmpl.String() != c.template {
			t.Errorf("Parse(%q).String() = %q", c.template, tmpl.String())
		}
	}
}

func TestParseSaysWhatIsWrongAndWhere(t *testing.T) {
	for _, c := range []struct {
		template string
		offset   int
		reason   string // a part of it
	}{
		{"", 0, "empty"},
		{strings.Repeat("x", keys.MaxTemplateLen+1), keys.MaxTemplateLen, "too long"},
		{"a\nb", 1, "control character"},
		{"a{b.\x00}", 4, "control character"},
		{"a\x7f", 1, "control character"},
		{"a\u0085", 1, "control character"},
		{"ab\xff", 2, "UTF-8"},
		{"ab{", 2, "opening brace"},
		{"ab{path.id", 2, "opening brace"},
		{"ab{path.{id}}", 2, "opening brace"},
		{"a{{path.id}", 10, "closing brace"},
		{"ab}", 2, "closing brace"},
		{"a{path.id}}", 10, "closing brace"},
		{"x{}", 1, "placeholder is empty"},
		{"x{.id}", 1, "no source"},
		{"x{.}", 1, "no source"},
		{"x{path}", 1, "no name"},
		{"x{path.}", 1, "no name"},
		{"x{path.}", 1, "such as {path.id}"},
		{"x{header}", 1, "such as {header.X-Tenant}"},
		{"x{json.}", 1, "such as {json./id}"},
		{"x{peer}", 1, "such as {peer.ip}"},
		{"x{tenant.}", 1, "such as {tenant.id}"},
		{"order:{id}", 6, "no source"},
		{"order:{id}", 6, "{path.id}, {query.id} or {header.id}"},
		{"order:{id}", 6, "{field.id} or {metadata.id}"},
		{"order:{order_id}", 6, "{path.order_id}"},
		{"order:{id...}", 6, "source"},
		{"order:{:id}", 6, "{path.id}"},
		{"order:{$id}", 6, "{path.id}"},
		{"order:{id:[0-9]+}", 6, "{path.id}"},
		{"order:{id|int}", 6, "{path.id}"},
		{"order:{ id }", 6, "{path.id}"},
		{"order:{tenant/id}", 6, "no source"},
		{"order:{path:id}", 6, "no dot"},
		{"order:{path:id}", 6, "{path.id}"},
		{"order:{path/id}", 6, "{path.id}"},
		{"order:{path[id]}", 6, "{path.id}"},
		{"order:{path->id}", 6, "{path.id}"},
		{"order:{header X-Tenant}", 6, "{header.X-Tenant}"},
		{"order:{}", 6, "{path.id}"},
		{"order:{ }", 6, "placeholder is empty"},
		{"order:{.id}", 6, "{path.id}"},
		{"order:{.order_id}", 6, "{path.order_id}"},
		{"order:{.}", 6, "{path.id}"},
		{"order:{ path.id}", 6, "source that is none"},
		{"order:{path .id}", 6, "source that is none"},
		{"order:{$path.id}", 6, "source that is none"},
		{"order:{path/a.b}", 6, "source that is none"},
		{"order:{path.id|hex}", 6, "there are int, uuid and lower"},
		{"order:{path.id|Int}", 6, "there are int, uuid and lower"},
		{"order:{path.id| int}", 6, "there are int, uuid and lower"},
		{"order:{path.id|}", 6, "there are int, uuid and lower"},
		{"order:{path.id|lower|uuid}", 6, "there are int, uuid and lower"},
		{"order:{query.a|b}", 6, "a bar that belongs to the name is written ||"},
		{"order:{path.|int}", 6, "no name before its form"},
		{"{path.id}", 0, "write order:{path.id},"},
		{"{path.id|int}", 0, "write order:{path.id|int},"},
		{":{path.id}", 0, "write order:{path.id},"},
		{"%-_/{path.id}:order", 0, "write order:{path.id}:order,"},
		{"{{{path.id}}}", 0, "write order:{path.id}}},"},
		{"{context.tenant}:{path.id}", 0, "write order:{context.tenant}:{path.id},"},
		{"{context.tenant}:{path.id}", 0, "as order does in order:{path.id}:"},
		{"{path.id}:{header.X-Tenant}", 0, "write order:{path.id}:{header.X-Tenant},"},
		{"{header.X-Tenant}", 0, "write tenant:{header.X-Tenant},"},
		{"{field.order.id}", 0, "write order:{field.order.id},"},
		{"{field.invoice_id}", 0, "write invoice:{field.invoice_id},"},
		{"{field.cartID}", 0, "write cart:{field.cartID},"},
		{"{json./items/0/sku}", 0, "write sku:{json./items/0/sku},"},
		{"{json./0}", 0, "write order:{json./0},"},
		{"{path.größe}", 0, "{path.größe}"},
		{"::", 0, "nothing but punctuation"},
	} {
		_, err := keys.Parse(c.template)
		se, ok := errors.AsType[*keys.SyntaxError](err)
		if !ok {
			t.Errorf("Parse(%q) = %v, want a *SyntaxError", c.template, err)
			continue
		}
		if se.Template != c.template || se.Offset != c.offset || !strings.Contains(se.Reason, c.reason) {
			t.Errorf("Parse(%q): offset %d, reason %q; want %d, %q", c.template, se.Offset, se.Reason, c.offset, c.reason)
		}
		if _, proposed, found := strings.Cut(se.Reason, ": write "); found && strings.HasPrefix(se.Reason, "nothing before") {
			proposed, _, _ = strings.Cut(proposed, ", so that")
			if _, err := keys.Parse(proposed); err != nil {
				t.Errorf("Parse(%q) proposes %q: %v", c.template, proposed, err)
			}
		}
	}
}

func FuzzTemplateParse(f *testing.F) {
	for _, s := range []string{"", "order:{path.id}", "{{}}", "{a.b}{c.d}", "{", "}", "{}", "{.}", "{a}", "}}}", "{{{", "é{a.é}\xff", "%{a.b}%"} {
		f.Add(s)
	}
	f.Add("o{a.b|int}{a.b||c|lower}")
	f.Fuzz(func(t *testing.T, text string) {
		tmpl, err := keys.Parse(text)
		if err != nil {
			se, ok := errors.AsType[*keys.SyntaxError](err)
			if !ok || tmpl != nil || se.Template != text || se.Offset < 0 || se.Offset > len(text) || se.Reason == "" {
				t.Fatalf("Parse(%q) = %v, %#v", text, tmpl, err)
			}
			return
		}
		if tmpl.String() != text {
			t.Fatalf("Parse(%q).String() = %q", text, tmpl.String())
		}
		for _, r := range tmpl.Refs() {
			if r.Source == "" || r.Name == "" || strings.ContainsAny(r.Source+r.Name, "{}") || strings.Contains(r.Source, ".") ||
				!strings.HasPrefix(text[r.Offset:], r.String()) {
				t.Fatalf("Parse(%q) has the placeholder %+v", text, r)
			}
		}
		values := make([]string, len(tmpl.Refs()))
		for i := range values {
			values[i] = "v"
		}
		distinct{}.add(t, tmpl.Key(values...), text)
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keys.Parse("order:{header.X-Tenant}:{path.id}"); err != nil {
			b.Fatal(err)
		}
	}
}
