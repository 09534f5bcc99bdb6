package keys_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core/keys"
)

func mustParse(t testing.TB, text string) *keys.Template {
	t.Helper()
	tmpl, err := keys.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func TestTemplateKeyIsItsTextWithTheValuesEscaped(t *testing.T) {
	for _, c := range []struct {
		template string
		values   []string
		want     string
	}{
		{"order:{path.id}", []string{"42"}, "order:42"},
		{"order:{header.X-Tenant}:{path.id}", []string{"acme", "42"}, "order:acme:42"},
		{"order:{path.id}", []string{"4:2"}, "order:4%3A2"},
		{"nightly", nil, "nightly"},
		{"o{path.id}", []string{""}, "o"},
		{"o{path.a}-{path.b}", []string{"1-2", "3-4"}, "o1%2D2-3-4"},
		{"o{path.a}{path.b}", []string{"x", "y"}, "ox:y"},
		{"o{path.a}→{path.b}", []string{"a→b", "→"}, "oa%E2%86%92b→→"},
		{"50%{path.a}%{path.b}", []string{"1%", "2"}, "50%%1%25%%2"},
		{"o{{{path.a}}}", []string{"x}{"}, "o{x%7D{}"},
		{"o{path.a}A{path.b}", []string{":A\xaa", "A"}, "o%3A%41%AAAA"},
	} {
		if got := mustParse(t, c.template).Key(c.values...); got != c.want {
			t.Errorf("%q with %q = %q, want %q", c.template, c.values, got, c.want)
		}
	}
}

func TestTemplatesOfOneTextAndJoinShareALock(t *testing.T) {
	http, grpc := mustParse(t, "order:{path.id}"), mustParse(t, "order:{field.order.id}")
	for _, id := range []string{"42", "", "a:b", "100%", "\xff", strings.Repeat("long", 100)} {
		h, g, j := http.Key(id), grpc.Key(id), keys.Join("order", id)
		if h != g || h != j {
			t.Errorf("id %q: HTTP %q, gRPC %q, Join %q", id, h, g, j)
		}
	}
	if a, b := mustParse(t, "a:{p.x}").Key("b"), mustParse(t, "a:b").Key(); a != b {
		t.Errorf("%q and %q differ, though the documentation says that the text is the key", a, b)
	}
}

func TestNoTwoValueListsOrScopesOfATemplateShareAKey(t *testing.T) {
	values := words([]string{"a", ":", "-", "%", "A", "é", "{"}, 2)
	scopes := []string{"", "a", "%:", "a%:a"}
	for _, text := range []string{
		"a{p.x}:{p.y}", "a{p.x}{p.y}", "a:{p.x}-{p.y}", "a%{p.x}%{p.y}", "a{p.x}A{p.y}", "a:{p.x}é{p.y}", "é{p.x}è{p.y}",
		"A{p.x}{{{p.y}", "a{p.x}aa{p.y}a", ":a:{p.x}:-{p.y}:", "0{p.x}%3A{p.y}", "%:a{p.x}%:{p.y}", "%#3{p.x}%-{p.y}",
	} {
		tmpl, seen := mustParse(t, text), distinct{}
		for _, scope := range scopes {
			for _, x := range values {
				for _, y := range values {
					seen.add(t, keys.Scoped(scope, tmpl.Key(x, y)), fmt.Sprintf("%q scope %q values %q, %q", text, scope, x, y))
				}
			}
		}
	}
}

func TestAValueCannotForgeTheLiteralOfAnotherTemplate(t *testing.T) {
	order, cart := mustParse(t, "order:{p.x}"), mustParse(t, "o{p.x}")
	if a, b := order.Key("42"), cart.Key("rder:42"); a == b {
		t.Errorf("a value forged the literal of another template: %q", a)
	}
}

func TestKeyRefusesTheWrongNumberOfValues(t *testing.T) {
	tmpl := mustParse(t, "order:{path.a}:{path.b}")
	for _, values := range [][]string{nil, {"1"}, {"1", "2", "3"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d values for 2 placeholders made a key", len(values))
				}
			}()
			tmpl.Key(values...)
		}()
	}
}

func TestRefsAreTheCallersOwn(t *testing.T) {
	tmpl := mustParse(t, "order:{path.id}")
	tmpl.Refs()[0].Name = "other"
	if got := tmpl.Refs()[0]; got != (keys.Ref{Source: "path", Name: "id", Offset: 6}) {
		t.Errorf("writing to the result of Refs changed the template: %+v", got)
	}
}

func TestTemplateKeyAllocatesOnce(t *testing.T) {
	tmpl := mustParse(t, "order:{header.X-Tenant}:{path.id}")
	tenant, id := "acme", "42"
	if n := testing.AllocsPerRun(100, func() { sink = tmpl.Key(tenant, id) }); n != 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}

func FuzzTemplateKeyIsInjective(f *testing.F) {
	f.Add("order:{p.x}:{p.y}", "", "a:b", "c", "", "a", "b:c")
	f.Add("a{p.x}-{p.y}", "s", "1-2", "3", "s", "1", "2-3")
	f.Add("a{p.x}{p.y}", "", "ab", "c", "", "a", "bc")
	f.Add("a{p.x}%{p.y}", "a", "%", "", "", "%:a", "%")
	f.Add("a{p.x}é{p.y}", "s", "è", "\xa9", "s", "\xc3", "é")
	f.Add("%#a{p.x}3{p.y}", "", "\x033", "3", "", "3", "\x03")
	f.Add("a{{{p.x}}}{p.y}", strings.Repeat("s", 150), strings.Repeat("v", 60), "", "", "", "")
	f.Add("a{p.x}{p.y}", "s", strings.Repeat("v", 196), "", "s", strings.Repeat("é", 98), "")
	f.Fuzz(func(t *testing.T, text, scopeA, a1, a2, scopeB, b1, b2 string) {
		tmpl, err := keys.Parse(text)
		if err != nil {
			t.Skip()
		}
		a, b := []string{a1, a2}, []string{b1, b2}
		switch n := len(tmpl.Refs()); {
		case n < 2:
			a, b = a[:n], b[:n]
		case n > 2: // the rest are equal in both
			rest := make([]string, n-2)
			for i := range rest {
				rest[i] = a1
			}
			a, b = append(a, rest...), append(b, rest...)
		}
		ka, kb := keys.Scoped(scopeA, tmpl.Key(a...)), keys.Scoped(scopeB, tmpl.Key(b...))
		same := scopeA == scopeB && slices.Equal(a, b)
		if (ka == kb) != same {
			t.Fatalf("template %q: scope %q values %q → %q; scope %q values %q → %q", text, scopeA, a, ka, scopeB, b, kb)
		}
		distinct{}.add(t, ka, "a")
	})
}

func BenchmarkTemplateKey(b *testing.B) {
	tmpl := mustParse(b, "order:{header.X-Tenant}:{path.id}")
	b.ReportAllocs()
	for b.Loop() {
		sink = tmpl.Key("acme", "42")
	}
}
