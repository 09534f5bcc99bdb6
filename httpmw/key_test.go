package httpmw_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// keyOf returns the key under which the handler of r ran, or the reason why it
// did not.
func keyOf(t *testing.T, r *http.Request, source httpmw.KeySource, opts ...httpmw.Option) (key string, reason core.Reason) {
	t.Helper()
	opts = append(opts, httpmw.OnDeny(func(_ http.ResponseWriter, _ *http.Request, d *core.Denial) { reason = d.Reason }))
	lock := mustNew(t, locktest.New(), source, opts...)
	orders(lock(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		l, held := core.FromContext(r.Context())
		if !held {
			key = "no lock"
			return
		}
		key = l.Key()
	}))).ServeHTTP(httptest.NewRecorder(), r)
	return key, reason
}

func TestTemplatesTakeTheirPartsFromTheRequest(t *testing.T) {
	for _, row := range []struct {
		template string
		target   string
		header   http.Header
		key      string
		reason   core.Reason
	}{
		{template: "order:{path.id}", target: "/orders/42", key: "/orders/{id}%:order:42"},
		{template: "order:{path.id}", target: "/orders/a%2Fb%3Ac", key: "/orders/{id}%:order:a/b%3Ac"},
		{template: "t:{header.x-tenant}", header: http.Header{"X-Tenant": {"Acme"}}, key: "/orders/{id}%:t:Acme"},
		{template: "q:{query.item}", target: "/orders/42?item=7&x=1&x=2", key: "/orders/{id}%:q:7"},
		{
			template: "{header.X-Tenant}{path.id}:{query.item}:{path.id}", target: "/orders/42?item=7",
			header: http.Header{"X-Tenant": {"acme"}}, key: "/orders/{id}%:acme:42:7:42",
		},

		{template: "x:{path.name}", reason: core.ReasonKeyMissing},
		{template: "x:{header.X-Tenant}", reason: core.ReasonKeyMissing},
		{template: "x:{header.X-Tenant}", header: http.Header{"X-Tenant": {""}}, reason: core.ReasonKeyMissing},
		{template: "x:{query.item}", reason: core.ReasonKeyMissing},
		{template: "x:{query.item}", target: "/orders/42?item=", reason: core.ReasonKeyMissing},

		{template: "x:{header.X-Tenant}", header: http.Header{"X-Tenant": {"a", "a"}}, reason: core.ReasonKeyInvalid},
		{template: "x:{query.item}", target: "/orders/42?item=1&item=2", reason: core.ReasonKeyInvalid},
		{template: "x:{query.item}", target: "/orders/42?item=1;item=2", reason: core.ReasonKeyInvalid},
		{template: "x:{query.item}", target: "/orders/42?item=1&%zz", reason: core.ReasonKeyInvalid},
	} {
		if row.target == "" {
			row.target = "/orders/42"
		}
		t.Run(fmt.Sprintf("%s of %s %v", row.template, row.target, row.header), func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPut, row.target, nil)
			if row.header != nil {
				r.Header = row.header
			}
			key, reason := keyOf(t, r, httpmw.Key(row.template))
			equal(t, "key", key, row.key)
			equal(t, "reason", reason, row.reason)
		})
	}
}

func TestTemplatesThatNoRequestCanFillInAreRefusedAtConstruction(t *testing.T) {
	for template, offset := range map[string]int{
		"":                    0,
		"all orders":          0,
		"order:{path.id":      6,
		"order:{id}":          6,
		"{path.a}{body.id}":   8,
		"{path.rest...}":      0,
		"{path.$}":            0,
		"x:{header.host}":     2,
		"x:{header.X Tenant}": 2,
		"x:{header.X:Tenant}": 2,
		"x:{header.Größe}":    2,
	} {
		_, err := httpmw.New(locktest.New(), httpmw.Key(template))
		se, is := errors.AsType[*keys.SyntaxError](err)
		if !is || !errors.Is(err, core.ErrOption) {
			t.Errorf("%q: %v", template, err)
			continue
		}
		equal(t, template+": offset", se.Offset, offset)
	}
}

func TestTheScopeOfAKey(t *testing.T) {
	source := map[string]httpmw.KeySource{
		"template": httpmw.Key(template),
		"function": httpmw.KeyFunc(func(r *http.Request) (string, error) { return keys.Join("order", r.PathValue("id")), nil }),
	}
	for _, row := range []struct {
		source string
		opts   []httpmw.Option
		key    string
	}{
		{"template", nil, "/orders/{id}%:order:42"},
		{"template", []httpmw.Option{httpmw.Name("pay")}, "pay%:order:42"},
		{"template", []httpmw.Option{httpmw.Unscoped()}, "order:42"},
		{"template", []httpmw.Option{httpmw.Unscoped(), httpmw.Name("pay")}, "order:42"},
		{"function", nil, "/orders/{id}%:order%3A42"},
		{"function", []httpmw.Option{httpmw.Name("pay")}, "pay%:order%3A42"},
		{"function", []httpmw.Option{httpmw.Unscoped()}, "order:42"},
	} {
		key, _ := keyOf(t, httptest.NewRequest(http.MethodPut, "/orders/42", nil), source[row.source], row.opts...)
		equal(t, row.source, key, row.key)
	}
}

func TestWithoutAPatternAFunctionCannotImitateAScope(t *testing.T) {
	var key string
	lock := mustNew(t, locktest.New(), httpmw.KeyFunc(func(*http.Request) (string, error) { return key42, nil }))
	lock(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		l, _ := core.FromContext(r.Context())
		key = l.Key()
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPut, "/", nil))
	if key == "" || key == key42 {
		t.Errorf("key %q", key)
	}
}

func TestWhatAKeyFuncFailsWith(t *testing.T) {
	for name, row := range map[string]struct {
		key    string
		err    error
		opts   []httpmw.Option
		want   string
		reason core.Reason
	}{
		"nothing":                {"k", nil, nil, "/orders/{id}%:k", ""},
		"missing":                {"", fmt.Errorf("no session: %w", core.ErrKeyMissing), nil, "", core.ReasonKeyMissing},
		"missing, skipped":       {"", core.ErrKeyMissing, skip, "no lock", ""},
		"an empty key":           {"", nil, nil, "", core.ReasonKeyMissing},
		"an empty key, skipped":  {"", nil, skip, "no lock", ""},
		"invalid":                {"", core.ErrKey, nil, "", core.ReasonKeyInvalid},
		"invalid, not skipped":   {"", core.ErrKey, skip, "", core.ReasonKeyInvalid},
		"anything else":          {"", errors.New("boom"), nil, "", core.ReasonKeyInvalid},
		"another denial's error": {"", core.ErrHeld, nil, "", core.ReasonKeyInvalid},
		"too long a key":         {strings.Repeat("k", core.MaxKeyLen+1), nil, []httpmw.Option{httpmw.Unscoped()}, "", core.ReasonKeyInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			source := httpmw.KeyFunc(func(*http.Request) (string, error) { return row.key, row.err })
			key, reason := keyOf(t, httptest.NewRequest(http.MethodPut, "/orders/42", nil), source, row.opts...)
			equal(t, "key", key, row.want)
			equal(t, "reason", reason, row.reason)
		})
	}
	if _, err := httpmw.New(locktest.New(), httpmw.KeyFunc(nil)); !errors.Is(err, core.ErrOption) {
		t.Errorf("a nil function: %v", err)
	}
}

var skip = []httpmw.Option{httpmw.OnMissing(httpmw.Skip)}

func TestASkippedRequestRunsWithoutALockAndUnwrapped(t *testing.T) {
	var inner http.ResponseWriter
	lock := mustNew(t, locktest.New(), httpmw.Key("x:{header.X-Tenant}"), skip...)
	h := lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, held := core.FromContext(r.Context()); held {
			t.Error("a skipped request holds a lock")
		}
		inner = w
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPut, "/", nil))
	equal(t, "ResponseWriter", inner, http.ResponseWriter(w))

	inner = nil
	r := httptest.NewRequest(http.MethodPut, "/", nil)
	r.Header["X-Tenant"] = []string{"a", "b"}
	h.ServeHTTP(w, r)
	if inner != nil || w.Code != http.StatusBadRequest {
		t.Errorf("an ambiguous key was skipped: status %d", w.Code)
	}
}

func TestHandlersOfDifferentRoutesNeverMeet(t *testing.T) {
	fake := locktest.New()
	lock := mustNew(t, fake, httpmw.Key("{path.a}:{path.b}"))
	key := make(chan string, 1)
	tell := lock(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		l, _ := core.FromContext(r.Context())
		key <- l.Key()
	}))
	mux := http.NewServeMux()
	for _, p := range []string{"PUT /x/{a}/{b}", "PUT /y/{a}/{b}", "DELETE /x/{a}/{b}"} {
		mux.Handle(p, tell)
	}
	s := serve(t, mux)
	seen := map[string]string{}
	for _, route := range []string{"PUT /x/", "PUT /y/", "DELETE /x/"} {
		for _, parts := range []string{"1/2", "1%3A/2", "1/%3A2", "1%25/2", "1/%252", "2/1", "1%3A2/1", "1/2%3A1"} {
			what := route + parts
			method, path, _ := strings.Cut(what, " ")
			if status, body, err := send(s, method, path, nil); err != nil || status != 200 {
				t.Fatal(what, status, body, err)
			}
			k := receive(t, key)
			if other, found := seen[k]; found {
				t.Errorf("%s and %s have the same key %s", what, other, k)
			}
			seen[k] = what
		}
	}
}

func TestOneNameSharesTheLockAmongRoutes(t *testing.T) {
	fake := locktest.New()
	fake.Hold("pay%:order:42")
	lock := mustNew(t, fake, httpmw.Key(template), httpmw.Name("pay"), httpmw.Wait(0))
	mux := http.NewServeMux()
	mux.Handle("PUT /orders/{id}", lock(http.HandlerFunc(ok)))
	mux.Handle("POST /refunds/{id}", lock(http.HandlerFunc(ok)))
	s := serve(t, mux)
	for _, route := range []string{"PUT /orders/", "POST /refunds/"} {
		method, path, _ := strings.Cut(route, " ")
		for id, want := range map[string]int{"42": http.StatusConflict, "43": http.StatusOK} {
			status, _, err := send(s, method, path+id, nil)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, route+id, status, want)
		}
	}
}
