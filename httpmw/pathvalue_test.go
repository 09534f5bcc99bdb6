package httpmw_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// Routers that route on the path as the client wrote it set values as it wrote
// them, but only if URL.RawPath is set.
func TestPathValueDecodesOnceWhateverTheRouterHandsOut(t *testing.T) {
	for _, row := range []struct {
		name    string
		pattern string
		target  string
		values  map[string]string // as the router has set them
		want    string            // of id, "error" for one
	}{
		{"no escape", "/orders/{id}", "/orders/42", map[string]string{"id": "42"}, "42"},
		{"no such value", "/orders/{id}", "/orders/4%32", nil, ""},
		{"raw", "/orders/{id}", "/orders/4%32", map[string]string{"id": "4%32"}, "42"},
		{"decoded", "/orders/{id}", "/orders/4%32", map[string]string{"id": "42"}, "42"},
		{"raw, a slash", "/orders/{id}", "/orders/a%2Fb", map[string]string{"id": "a%2Fb"}, "a/b"},
		{"decoded, no RawPath", "/orders/{id}", "/orders/a%252Fb", map[string]string{"id": "a%2Fb"}, "a%2Fb"},
		{"raw, twice escaped", "/orders/{id}", "/orders/a%252F%62", map[string]string{"id": "a%252F%62"}, "a%2Fb"},
		{"decoded, twice escaped", "/orders/{id}", "/orders/a%252F%62", map[string]string{"id": "a%2Fb"}, "a%2Fb"},
		{"raw, a percent sign", "/orders/{id}", "/orders/%25%32%35", map[string]string{"id": "%25%32%35"}, "%25"},
		{"decoded, a percent sign", "/orders/{id}", "/orders/%25%32%35", map[string]string{"id": "%25"}, "%25"},
		{"decoded, no escape", "/orders/{id}", "/orders/100%25(a)", map[string]string{"id": "100%(a)"}, "100%(a)"},
		{"raw although there is no RawPath", "GET /orders/:id", "/orders/a%20b", map[string]string{"id": "a%20b"}, "a b"},

		{"raw, beside the same decoded", "/x/{id}/{b}", "/x/a%2Fb/a%252Fb", map[string]string{"id": "a%2Fb", "b": "a%252Fb"}, "a/b"},
		{"decoded, beside the same raw", "/x/{b}/{id}", "/x/a%2Fb/a%252Fb", map[string]string{"b": "a/b", "id": "a%2Fb"}, "a%2Fb"},
		{"raw, a part of a segment", "/x/{id}.{b:[a-z]{2,}}/y", "/x/4%32%25.js/y", map[string]string{"id": "4%32%25", "b": "js"}, "42%"},
		{"raw, a custom verb", "/x/{id}:cancel", "/x/4%32%25:cancel", map[string]string{"id": "4%32%25"}, "42%"},
		{"raw, a method and a host", "PUT shop.example/x/{id}", "/x/4%32", map[string]string{"id": "4%32"}, "42"},
		{"decoded, a subtree", "/x/{id}/", "/x/%2541/b(c)", map[string]string{"id": "%41"}, "%41"},
		{"raw, a subtree", "/x/{id}/", "/x/%41/b(c)", map[string]string{"id": "%41"}, "A"},
		{"decoded, the end of a path", "/x/{id}/{$}", "/x/%2541%42/", map[string]string{"id": "%41B"}, "%41B"},
		{"decoded, a tail", "/x/{id...}", "/x/%2541/%2Fb", map[string]string{"id": "%41//b"}, "%41//b"},
		{"raw, a tail", "/x/*", "/x/%2541/%2Fb", map[string]string{"*": "%2541/%2Fb", "id": "no"}, "no"},
		{"raw, gin's tail", "GET /x/*id", "/x/%2541/%2Fb", map[string]string{"id": "/%2541/%2Fb"}, "/%41//b"},
		{"decoded, gin's tail", "GET /x/*id", "/x/%2541/%2Fb", map[string]string{"id": "/%41//b"}, "/%41//b"},
		{"raw, echo", "PUT /a/:b/c/:id", "/a/%2541/c/%2542(", map[string]string{"b": "%2541", "id": "%2542("}, "%42("},
		{"decoded, echo", "PUT /a/:b/c/:id", "/a/%2541/c/%2542(", map[string]string{"b": "%41", "id": "%42("}, "%42("},

		{"raw, of an outer router", "/y/{b}", "/x/4%32/y/7", map[string]string{"id": "4%32", "b": "7"}, "42"},
		{"decoded, of an outer router", "/y/{b}", "/x/4%2532/y/(7)", map[string]string{"id": "4%32", "b": "(7)"}, "4%32"},
		{"raw, no pattern", "", "/x/4%32", map[string]string{"id": "4%32"}, "42"},
		{"decoded, no pattern", "", "/x/4%2532(", map[string]string{"id": "4%32("}, "4%32("},
		{"no pattern, no RawPath", "", "/x/%2525", map[string]string{"id": "%25"}, "%25"},
		{"no pattern, and the client has written both", "", "/x/4%32/4%2532", map[string]string{"id": "4%32"}, "error"},
		{"not of this path", "/x/{id}", "/y/4%32", map[string]string{"id": "5%33"}, "error"},
		{"half an escape", "/x/{id}F", "/x/b%2F", map[string]string{"id": "b%2"}, "error"},
		{"a pattern that is none", "/x/{id", "/x/b%2F", map[string]string{"id": "b%2F"}, "b/"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPut, row.target, nil)
			r.Pattern = row.pattern
			for name, value := range row.values {
				r.SetPathValue(name, value)
			}
			value, err := httpmw.PathValue(r, "id")
			if row.want == "error" {
				if !errors.Is(err, core.ErrKey) || value != "" {
					t.Errorf("got %q and error %v", value, err)
				}
				return
			}
			equal(t, "error", err, nil)
			equal(t, "value", value, row.want)
			equal(t, "http.Request.PathValue", r.PathValue("id"), row.values["id"])
		})
	}
}

// http.ServeMux takes CONNECT /orders//items/7 for this route, and has one value for
// two wildcards (golang/go#81222).
func TestAWildcardWithoutAValueIsRefused(t *testing.T) {
	ran := false
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })
	connect := func(lock func(http.Handler) http.Handler, around func(http.Handler) http.Handler) int {
		mux := http.NewServeMux()
		mux.Handle("/orders/{id}/items/{item}", lock(handler))
		ran = false
		w := httptest.NewRecorder()
		around(mux).ServeHTTP(w, parse(t, "CONNECT /orders//items/7"))
		return w.Code
	}
	none := func(h http.Handler) http.Handler { return h }
	equal(t, "status", connect(mustNew(t, locktest.New(), httpmw.Key("item:{path.item}")), none), http.StatusBadRequest)
	equal(t, "ran", ran, false)
	equal(t, "status around the mux", connect(none, mustNew(t, locktest.New(), httpmw.Key("x:{request.host}"))), http.StatusOK)
	equal(t, "ran", ran, true)
}

// Under http.ServeMux it is what PathValue has decoded, whatever the client writes.
func FuzzPathValueUnderServeMux(f *testing.F) {
	for _, seed := range []string{"/x/42", "/x/4%32", "/x/%25%32%35/y/%2525", "/x/a%2Fb/y/a%252Fb", "/t/%2541/%2Fb", "/t/%252525(", "/s/%2541/%42", "/%2Fz/%25%32%35", "/a%20b/%25%32%35/"} {
		f.Add(seed)
	}
	var values map[string][2]string
	mux := http.NewServeMux()
	for pattern, names := range map[string]string{
		"/x/{a}": "a", "/x/{a}/y/{b}": "a b", "PUT /t/{rest...}": "rest", "/s/{a}/": "a", "/e/{a}/{$}": "a", "/%2Fz/{a}": "a", "/a%20b/{a}/": "a",
	} {
		mux.HandleFunc(pattern, func(_ http.ResponseWriter, r *http.Request) {
			values = map[string][2]string{}
			for name := range strings.FieldsSeq(names) {
				value, err := httpmw.PathValue(r, name)
				if err != nil {
					value = err.Error()
				}
				values[name] = [2]string{r.PathValue(name), value}
			}
		})
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		values = nil
		mux.ServeHTTP(httptest.NewRecorder(), &http.Request{Method: http.MethodPut, URL: u, Host: "shop.example"})
		for name, v := range values {
			if v[0] != v[1] {
				t.Errorf("%s: %s is %q, not %q", target, name, v[1], v[0])
			}
		}
	})
}
