package keys_test

import (
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core/keys"
)

func TestAScopeStandsBeforeTheKey(t *testing.T) {
	for _, c := range []struct{ scope, key, want string }{
		{"", "order:42", "order:42"},
		{"PUT /orders/{id}", "order:42", "PUT /orders/{id}%:order:42"},
		{"/shop.v1.Orders/Update", "order:42", "/shop.v1.Orders/Update%:order:42"},
		{"a:b%", "order:42", "a%3Ab%25%:order:42"},
		{"s", "not made by this package: 100%", "s%:not made by this package: 100%"},
		{"s", "", "s%:"},
	} {
		if got := keys.Scoped(c.scope, c.key); got != c.want {
			t.Errorf("Scoped(%q, %q) = %q, want %q", c.scope, c.key, got, c.want)
		}
	}
}

// Also of texts that this package did not make, such as the result of a function.
func TestALongKeyUnderAScopeIsHashed(t *testing.T) {
	seen := map[string]bool{}
	for _, key := range []string{"x", "%", "%3", "é", "\xff", "%%"} {
		for n := range 3 {
			got := keys.Scoped("s", strings.Repeat(key, 300+n))
			if len(got) > keys.MaxLen || !strings.HasPrefix(got, "s%:") || seen[got] {
				t.Errorf("%d times %q: %q", 300+n, key, got)
			}
			seen[got] = true
		}
	}
}

func TestKeysOfDifferentScopesNeverMeet(t *testing.T) {
	owner := map[string]string{} // key → scope
	values := words([]string{"a", ":", "%", "s"}, 3)
	for _, scope := range []string{"", "s", "a", "s:a", "s%", "%", ":"} {
		for _, text := range []string{"s:{p.x}", "s%:{p.x}", "a{p.x}", "%a{p.x}", "a{p.x}%", ":a{p.x}", "a{p.x}:s"} {
			tmpl := mustParse(t, text)
			for _, v := range values {
				key := keys.Scoped(scope, tmpl.Key(v))
				if other, ok := owner[key]; ok && other != scope {
					t.Fatalf("%q of scope %q with %q has the key %q of scope %q", text, scope, v, key, other)
				}
				owner[key] = scope
			}
		}
	}
}

func TestScopedAllocatesOnce(t *testing.T) {
	scope, key := "PUT /orders/{id}", "order:42"
	if n := testing.AllocsPerRun(100, func() { sink = keys.Scoped(scope, key) }); n != 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}
