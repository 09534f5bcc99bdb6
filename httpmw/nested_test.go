package httpmw_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// A skipped lock must not let the handler take an outer one, of another key,
// for its own.
func TestASkippedRequestDoesNotSeeAnOuterLock(t *testing.T) {
	locks := locktest.New()
	outer, err := httpmw.New(locks, httpmw.Key("tenant:{header.X-Tenant}"))
	if err != nil {
		t.Fatal(err)
	}
	inner, err := httpmw.New(locks, httpmw.Key("order:{query.order}"), httpmw.OnMissing(httpmw.Skip))
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]bool{"": false, "?order=7": true} {
		ran := false
		h := outer(inner(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			ran = true
			if _, got := core.FromContext(r.Context()); got != want {
				t.Errorf("%q: FromContext reports a lock: %v, want %v", query, got, want)
			}
		})))
		r := httptest.NewRequest("PUT", "/"+query, nil)
		r.Header.Set("X-Tenant", "acme")
		h.ServeHTTP(httptest.NewRecorder(), r)
		if !ran {
			t.Errorf("%q: the handler did not run", query)
		}
	}
}
