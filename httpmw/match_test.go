package httpmw_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// seen is what a handler is called with.
type seen struct {
	w      http.ResponseWriter
	r      *http.Request
	locked bool
}

func look(at *seen) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, held := core.FromContext(r.Context())
		*at = seen{w, r, held}
	})
}

func TestOnlyAndExceptChooseWhatIsLocked(t *testing.T) {
	preflight := http.Header{"Origin": {"https://a.example"}, "Access-Control-Request-Method": {"PUT"}}
	big := func(r *http.Request) bool { return r.ContentLength > 10 }
	for name, row := range map[string]struct {
		opts   []httpmw.Option
		locked []string
		not    []string
		header http.Header
	}{
		"nothing": {
			locked: []string{"GET /x", "OPTIONS /x", "PUT /x"},
		},
		"unsafe methods": {
			opts:   []httpmw.Option{httpmw.Only(httpmw.UnsafeMethods)},
			locked: []string{"PUT /x", "POST /x", "PATCH /x", "DELETE /x", "CONNECT /x", "LOCK /x", "get /x"},
			not:    []string{"GET /x", "HEAD /x", "OPTIONS /x", "TRACE /x"},
		},
		"methods": {
			opts:   []httpmw.Option{httpmw.Only(httpmw.Methods("PUT", "POST"))},
			locked: []string{"PUT /x", "POST /x"},
			not:    []string{"PATCH /x", "put /x", "GET /x"},
		},
		"no preflights": {
			opts:   []httpmw.Option{httpmw.Except(httpmw.Preflight)},
			header: preflight,
			locked: []string{"PUT /x", "GET /x"},
			not:    []string{"OPTIONS /x"},
		},
		"no preflights, but other OPTIONS": {
			opts:   []httpmw.Option{httpmw.Except(httpmw.Preflight)},
			header: http.Header{"Origin": {"https://a.example"}},
			locked: []string{"OPTIONS /x"},
		},
		"a path and those below": {
			opts:   []httpmw.Option{httpmw.Only(httpmw.PathPrefix("/api/"))},
			locked: []string{"GET /api", "GET /api/", "GET /api/x/y", "GET //api/x", "GET /z/../api/x", "GET /%61pi/x", "GET /api/../x"},
			not:    []string{"GET /apiary", "GET /", "GET /x/api", "OPTIONS *"},
		},
		"every path": {
			opts:   []httpmw.Option{httpmw.Only(httpmw.PathPrefix("/"))},
			locked: []string{"GET /", "GET /api"},
		},
		"patterns": {
			opts:   []httpmw.Option{httpmw.Except(httpmw.Patterns("GET /orders/{id}", "/static/"))},
			locked: []string{"PUT /orders/42", "GET /orders/42/items", "GET /"},
			not:    []string{"GET /orders/42", "HEAD /orders/42", "GET /static/a/b", "POST /static/"},
		},
		"any function": {
			opts: []httpmw.Option{httpmw.Only(big)},
			not:  []string{"PUT /x"},
		},
		"each narrows further": {
			opts: []httpmw.Option{
				httpmw.Only(httpmw.UnsafeMethods), httpmw.Only(httpmw.PathPrefix("/api")),
				httpmw.Except(httpmw.PathPrefix("/api/search")), httpmw.Except(httpmw.Methods("PATCH")),
			},
			locked: []string{"PUT /api/x"},
			not:    []string{"GET /api/x", "PUT /x", "PUT /api/search/x", "PATCH /api/x"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var at seen
			lock := mustNew(t, locktest.New(), httpmw.Key("all:{request.method}"), row.opts...)
			h := lock(look(&at))
			for want, requests := range map[bool][]string{true: row.locked, false: row.not} {
				for _, request := range requests {
					var method, target string
					_, _ = fmt.Sscan(request, &method, &target)
					r := httptest.NewRequest(method, target, nil)
					if row.header != nil {
						r.Header = row.header
					}
					h.ServeHTTP(httptest.NewRecorder(), r)
					equal(t, request+" is locked", at.locked, want)
				}
			}
		})
	}
}

func TestASkippedRequestGoesStraightThrough(t *testing.T) {
	var at seen
	lock := mustNew(t, locktest.New(), httpmw.Key(template), httpmw.Only(httpmw.UnsafeMethods))
	h := lock(look(&at))
	w, r := http.ResponseWriter(httptest.NewRecorder()), httptest.NewRequest(http.MethodGet, "/", nil)
	h.ServeHTTP(w, r)
	equal(t, "ResponseWriter", at.w, w)
	equal(t, "request", at.r, r)

	for name, opt := range skippingOptions() {
		skipped := mustNew(t, locktest.New(), httpmw.Key(template), opt)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		if n := testing.AllocsPerRun(100, func() { skipped.ServeHTTP(w, r) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// skippingOptions skip a GET of /orders/42.
func skippingOptions() map[string]httpmw.Option {
	return map[string]httpmw.Option{
		"UnsafeMethods": httpmw.Only(httpmw.UnsafeMethods),
		"Methods":       httpmw.Only(httpmw.Methods("PUT", "POST")),
		"PathPrefix":    httpmw.Only(httpmw.PathPrefix("/api")),
		"a function":    httpmw.Except(func(r *http.Request) bool { return r.Header["X-Batch"] == nil }),
	}
}

func TestMatchersThatMatchNothingPanicAtTheWiring(t *testing.T) {
	for name, make := range map[string]func(){
		"Methods":             func() { httpmw.Methods() },
		"PathPrefix":          func() { httpmw.PathPrefix("api") },
		"Patterns":            func() { httpmw.Patterns() },
		"a malformed pattern": func() { httpmw.Patterns("/{") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s was taken", name)
				}
			}()
			make()
		}()
	}
}

// What a skipped request costs is the difference to the bare handler.
func BenchmarkSkipped(b *testing.B) {
	empty := http.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest(http.MethodGet, "/orders/42", nil)
	run := func(h http.Handler) func(*testing.B) {
		return func(b *testing.B) {
			w := http.ResponseWriter(discard{http.Header{}})
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		}
	}
	b.Run("bare", run(empty))
	for name, opt := range skippingOptions() {
		b.Run(name, run(mustNew(b, locktest.New(), httpmw.Key(template), opt)(empty)))
	}
	b.Run("Patterns", run(mustNew(b, locktest.New(), httpmw.Key(template), httpmw.Except(httpmw.Patterns("GET /orders/{id}")))(empty)))
}
