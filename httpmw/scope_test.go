package httpmw_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

func TestTheKeyIsWhatTheTemplateOrTheFunctionSays(t *testing.T) {
	source := map[string]httpmw.KeySource{
		"template": httpmw.Key(template),
		"function": httpmw.KeyFunc(func(r *http.Request) (string, error) { return keys.Join("order", r.PathValue("id")), nil }),
	}
	for name, source := range source {
		for _, row := range []struct {
			opts []httpmw.Option
			key  string
		}{
			{nil, "order:42"},
			{[]httpmw.Option{httpmw.Name("pay")}, "order:42"},
			{[]httpmw.Option{httpmw.Scoped()}, "/orders/{id}%:order:42"},
			{[]httpmw.Option{httpmw.Scoped(), httpmw.Name("pay")}, "pay%:order:42"},
		} {
			key, _ := keyOf(t, httptest.NewRequest(http.MethodPut, "/orders/42", nil), source, row.opts...)
			equal(t, name, key, row.key)
		}
	}
}

// answerTo returns the status with which h answers.
func answerTo(t *testing.T, h http.Handler, method, target string) int {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w.Code
}

func TestAllThatChangeOneOrderExcludeEachOther(t *testing.T) {
	fake := locktest.New()
	lock := mustNew(t, fake, httpmw.Key(template), httpmw.Wait(0))
	mux := http.NewServeMux()
	for _, pattern := range []string{"PUT /orders/{id}", "DELETE /orders/{id}", "POST /orders/{id}/pay", "/v2/orders/{id...}"} {
		mux.Handle(pattern, lock(http.HandlerFunc(ok)))
	}
	guard, err := core.NewGuard(fake, core.Wait(0))
	if err != nil {
		t.Fatal(err)
	}
	routes := map[string]string{"/orders/42": http.MethodPut, "/orders/42?": http.MethodDelete, "/orders/42/pay": http.MethodPost, "/v2/orders/42": http.MethodGet}
	release := fake.Hold("order:42")
	for target, method := range routes {
		equal(t, method+" "+target+" under Hold", answerTo(t, mux, method, target), http.StatusConflict)
	}
	release()
	err = guard.Run(t.Context(), "order:42", func(context.Context) error {
		for target, method := range routes {
			equal(t, method+" "+target+" under a Guard", answerTo(t, mux, method, target), http.StatusConflict)
			equal(t, "another order", answerTo(t, mux, method, strings.Replace(target, "42", "43", 1)), http.StatusOK)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Old and new replicas of a rollout that renames the wildcard.
func TestARenamedWildcardKeepsItsLock(t *testing.T) {
	fake := locktest.New()
	defer fake.Hold("order:42")()
	for wildcard, pattern := range map[string]string{"id": "PUT /orders/{id}", "order": "PUT /orders/{order}", "rest": "/orders/{rest...}"} {
		mux := http.NewServeMux()
		mux.Handle(pattern, mustNew(t, fake, httpmw.Key("order:{path."+wildcard+"}"), httpmw.Wait(0))(http.HandlerFunc(ok)))
		equal(t, pattern, answerTo(t, mux, http.MethodPut, "/orders/42"), http.StatusConflict)
	}
}

// The routes of inner muxes under StripPrefix have one pattern, and a lock around
// a mux sees none.
func TestTheKeyIsTheSameWhereverTheLockStands(t *testing.T) {
	fake := locktest.New()
	defer fake.Hold("order:42")()
	inside := func(name string) http.Handler {
		inner := http.NewServeMux()
		inner.Handle("PUT /orders/{"+name+"}", mustNew(t, fake, httpmw.Key("order:{path."+name+"}"), httpmw.Wait(0))(http.HandlerFunc(ok)))
		return inner
	}
	outer := http.NewServeMux()
	outer.Handle("/v1/", http.StripPrefix("/v1", inside("id")))
	outer.Handle("/v2/{tenant}/", http.StripPrefix("/v2/acme", inside("order")))
	around := http.NewServeMux()
	around.HandleFunc("PUT /orders/{id}", ok)
	outer.Handle("/v3/", http.StripPrefix("/v3", mustNew(t, fake, httpmw.Key("order:{query.order}"), httpmw.Wait(0))(around)))
	for _, target := range []string{"/v1/orders/42", "/v2/acme/orders/42", "/v3/orders/1?order=42"} {
		equal(t, target, answerTo(t, outer, http.MethodPut, target), http.StatusConflict)
		equal(t, "another order than "+target, answerTo(t, outer, http.MethodPut, strings.Replace(target, "42", "43", 1)), http.StatusOK)
	}
}

func TestScopedRoutesNeverMeet(t *testing.T) {
	fake := locktest.New()
	lock := mustNew(t, fake, httpmw.Key("o:{path.a}:{path.b}"), httpmw.Scoped())
	var key string
	tell := lock(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		l, _ := core.FromContext(r.Context())
		key = l.Key()
	}))
	mux := http.NewServeMux()
	for _, p := range []string{"PUT /x/{a}/{b}", "PUT /y/{a}/{b}", "DELETE /x/{a}/{b}"} {
		mux.Handle(p, tell)
	}
	seen := map[string]string{}
	for _, route := range []string{"PUT /x/", "PUT /y/", "DELETE /x/"} {
		for _, parts := range []string{"1/2", "1%3A/2", "1/%3A2", "1%25/2", "1/%252", "2/1", "1%3A2/1", "1/2%3A1"} {
			method, path, _ := strings.Cut(route+parts, " ")
			equal(t, route+parts, answerTo(t, mux, method, path), http.StatusOK)
			if other, found := seen[key]; found {
				t.Errorf("%s and %s have the same key %s", route+parts, other, key)
			}
			seen[key] = route + parts
		}
	}
}

// logged collects what the program logs until the test ends.
func logged(t *testing.T) *bytes.Buffer {
	t.Helper()
	var text bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &text
}

func TestScopedWithoutAScopeIsAFaultThatIsLoggedOnce(t *testing.T) {
	records := logged(t)
	for name, row := range map[string]struct {
		opts   []httpmw.Option
		status int
	}{
		"no pattern":            {nil, http.StatusInternalServerError},
		"no pattern, to skip":   {skip, http.StatusInternalServerError},
		"no pattern but a name": {[]httpmw.Option{httpmw.Name("orders")}, http.StatusOK},
	} {
		records.Reset()
		h := mustNew(t, locktest.New(), httpmw.Key("order:{query.id}"), append(row.opts, httpmw.Scoped())...)(http.HandlerFunc(ok))
		for range 3 {
			equal(t, name, answerTo(t, h, http.MethodPut, "/orders?id=42"), row.status)
		}
		want := 0
		if row.status != http.StatusOK {
			want = 1
		}
		equal(t, name+": records", strings.Count(records.String(), "give a Name"), want)
	}
}
