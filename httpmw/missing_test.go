package httpmw_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

func TestWhatBecomesOfARequestThatLacksAPart(t *testing.T) {
	address := httpmw.FallbackFunc(func(r *http.Request) string { return r.RemoteAddr })
	none := httpmw.FallbackFunc(func(*http.Request) string { return "" })
	func1 := httpmw.KeyFunc(func(r *http.Request) (string, error) {
		if r.Header["X-Tenant"] == nil {
			return "", core.ErrKeyMissing
		}
		return "", errors.New("a fault")
	})
	twoParts := httpmw.Key("t:{header.X-Tenant}:{json./id}")
	for name, row := range map[string]struct {
		source httpmw.KeySource
		policy []httpmw.MissingPolicy
		tenant []string
		want   string
	}{
		"by default":                      {source: twoParts, want: "LOCK_KEY_MISSING"},
		"rejected":                        {twoParts, []httpmw.MissingPolicy{httpmw.Reject}, nil, "LOCK_KEY_MISSING"},
		"skipped":                         {twoParts, []httpmw.MissingPolicy{httpmw.Skip}, nil, "no lock"},
		"a text for each part":            {twoParts, []httpmw.MissingPolicy{httpmw.Fallback("a:b")}, nil, "t:a%3Ab:a%3Ab"},
		"a text for the one":              {twoParts, []httpmw.MissingPolicy{httpmw.Fallback("any")}, []string{"acme"}, "t:acme:any"},
		"a text of the request":           {twoParts, []httpmw.MissingPolicy{address}, []string{"acme"}, "t:acme:192.0.2.1%3A1234"},
		"an empty text":                   {twoParts, []httpmw.MissingPolicy{none}, nil, "LOCK_KEY_MISSING"},
		"of a function":                   {func1, []httpmw.MissingPolicy{httpmw.Fallback("any")}, nil, "any"},
		"of a function, an empty text":    {func1, []httpmw.MissingPolicy{none}, nil, "LOCK_KEY_MISSING"},
		"not missing but ambiguous":       {twoParts, []httpmw.MissingPolicy{httpmw.Fallback("any")}, []string{"a", "b"}, "LOCK_KEY_INVALID"},
		"not missing but a fault":         {func1, []httpmw.MissingPolicy{httpmw.Fallback("any")}, []string{"a"}, "LOCK_KEY_INVALID"},
		"the last option rules":           {twoParts, []httpmw.MissingPolicy{httpmw.Fallback("any"), httpmw.Skip}, nil, "no lock"},
		"the last option rules, reversed": {twoParts, []httpmw.MissingPolicy{httpmw.Skip, httpmw.Fallback("any")}, nil, "t:any:any"},
		"the last option rules, rejected": {twoParts, []httpmw.MissingPolicy{httpmw.Fallback("any"), httpmw.Reject}, nil, "LOCK_KEY_MISSING"},
		"of a form, not in it itself":     {httpmw.Key("t:{header.X-Tenant|int}"), []httpmw.MissingPolicy{httpmw.Fallback("ANY")}, nil, "t:ANY"},
		"not missing but of another form": {httpmw.Key("t:{header.X-Tenant|int}"), []httpmw.MissingPolicy{httpmw.Fallback("ANY")}, []string{"a"}, "LOCK_KEY_INVALID"},
	} {
		var opts []httpmw.Option
		for _, p := range row.policy {
			opts = append(opts, httpmw.OnMissing(p))
		}
		r := httptest.NewRequest(http.MethodPut, "/orders/42", nil)
		if row.tenant != nil {
			r.Header["X-Tenant"] = row.tenant
		}
		key, reason := keyOf(t, r, row.source, opts...)
		equal(t, name, key+string(reason), row.want)
	}
}

// A browser's preflight has neither the header that the key is made of nor the
// body. These are the ways to let it through, and what becomes of the request
// itself without a key.
func TestCORSPreflights(t *testing.T) {
	key := httpmw.Key("order:{header.X-Tenant}:{path.id}")
	for name, row := range map[string]struct {
		pattern   string
		opts      []httpmw.Option
		preflight int
		keyless   int
	}{
		"a pattern without a method":    {"/orders/{id}", nil, 400, 400},
		"a pattern of the method alone": {"PUT /orders/{id}", nil, 405, 400},
		"except preflights":             {"/orders/{id}", []httpmw.Option{httpmw.Except(httpmw.Preflight)}, 204, 400},
		"only unsafe methods":           {"/orders/{id}", []httpmw.Option{httpmw.Only(httpmw.UnsafeMethods)}, 204, 400},
		"a fallback":                    {"/orders/{id}", []httpmw.Option{httpmw.OnMissing(httpmw.Fallback("-"))}, 204, 200},
		"skip":                          {"/orders/{id}", []httpmw.Option{httpmw.OnMissing(httpmw.Skip)}, 204, 200},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.Handle(row.pattern, mustNew(t, locktest.New(), key, row.opts...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodOptions {
					w.WriteHeader(http.StatusNoContent)
				}
			})))
			status := func(method string) int {
				r := httptest.NewRequest(method, "/orders/42", nil)
				r.Header.Set("Origin", "https://shop.example")
				if method == http.MethodOptions {
					r.Header.Set("Access-Control-Request-Method", "PUT")
					r.Header.Set("Access-Control-Request-Headers", "x-tenant")
				}
				w := httptest.NewRecorder()
				mux.ServeHTTP(w, r)
				return w.Code
			}
			equal(t, "preflight", status(http.MethodOptions), row.preflight)
			equal(t, "request without a key", status(http.MethodPut), row.keyless)
		})
	}
	t.Run("a handler of its own", func(t *testing.T) {
		mux := http.NewServeMux()
		mux.Handle("PUT /orders/{id}", mustNew(t, locktest.New(), key)(http.HandlerFunc(ok)))
		mux.HandleFunc("OPTIONS /orders/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodOptions, "/orders/42", nil))
		equal(t, "preflight", w.Code, http.StatusNoContent)
	})
}
