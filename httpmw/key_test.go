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
		{template: "order:{path.id}", target: "/orders/42", key: "order:42"},
		{template: "order:{path.id}", target: "/orders/a%2Fb%3Ac", key: "order:a/b%3Ac"},
		{template: "t:{header.x-tenant}", header: http.Header{"X-Tenant": {"Acme"}}, key: "t:Acme"},
		{template: "q:{query.item}", target: "/orders/42?item=7&x=1&x=2", key: "q:7"},
		{
			template: "o:{header.X-Tenant}{path.id}:{query.item}:{path.id}", target: "/orders/42?item=7",
			header: http.Header{"X-Tenant": {"acme"}}, key: "o:acme:42:7:42",
		},

		{template: "x:{path.name}", reason: core.ReasonInternal},
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
		"":                     0,
		"all orders":           0,
		"order:{path.id":       6,
		"order:{id}":           6,
		"x{path.a}{body.id}":   9,
		"x{path.rest...}":      1,
		"x{path.$}":            1,
		"{path.id}":            0,
		":{path.id|int}":       0,
		"x:{path.id|hex}":      2,
		"x:{request.host|int}": 2,
		"x:{header.host}":      2,
		"x:{header.X Tenant}":  2,
		"x:{header.X:Tenant}":  2,
		"x:{header.Größe}":     2,
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

func TestWhatAKeyFuncFailsWith(t *testing.T) {
	for name, row := range map[string]struct {
		key    string
		err    error
		opts   []httpmw.Option
		want   string
		reason core.Reason
	}{
		"nothing":                {"k", nil, nil, "k", ""},
		"missing":                {"", fmt.Errorf("no session: %w", core.ErrKeyMissing), nil, "", core.ReasonKeyMissing},
		"missing, skipped":       {"", core.ErrKeyMissing, skip, "no lock", ""},
		"an empty key":           {"", nil, nil, "", core.ReasonKeyMissing},
		"an empty key, skipped":  {"", nil, skip, "no lock", ""},
		"invalid":                {"", core.ErrKey, nil, "", core.ReasonKeyInvalid},
		"invalid, not skipped":   {"", core.ErrKey, skip, "", core.ReasonKeyInvalid},
		"anything else":          {"", errors.New("boom"), nil, "", core.ReasonKeyInvalid},
		"another denial's error": {"", core.ErrHeld, nil, "", core.ReasonKeyInvalid},
		"too long a key":         {strings.Repeat("k", core.MaxKeyLen+1), nil, nil, "", core.ReasonKeyInvalid},
		"too long, and scoped":   {strings.Repeat("k", core.MaxKeyLen+1), nil, []httpmw.Option{httpmw.Scoped()}, "", core.ReasonKeyInvalid},
		"as it is":               {"a b:%\xff", nil, nil, "a b:%\xff", ""},
		"the longest":            {strings.Repeat("k", core.MaxKeyLen), nil, nil, strings.Repeat("k", core.MaxKeyLen), ""},
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
