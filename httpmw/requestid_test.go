package httpmw_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
	"github.com/latchkey-go/latchkey/idgen"
)

func TestRequestIDs(t *testing.T) {
	trust := []httpmw.RequestIDOption{httpmw.TrustRequestID(), nil}
	for name, row := range map[string]struct {
		opts    []httpmw.RequestIDOption
		inbound []string
		context string
		want    string // "" for one that is generated
	}{
		"none":                         {},
		"inbound, not trusted":         {inbound: []string{"theirs"}},
		"inbound, trusted":             {opts: trust, inbound: []string{"theirs"}, want: "theirs"},
		"trusted, but there is none":   {opts: trust},
		"trusted, but empty":           {opts: trust, inbound: []string{""}},
		"trusted, but two":             {opts: trust, inbound: []string{"a", "b"}},
		"trusted, but with a space":    {opts: trust, inbound: []string{"a b"}},
		"trusted, but too long":        {opts: trust, inbound: []string{strings.Repeat("a", 129)}},
		"in the context":               {context: "ours", want: "ours"},
		"in the context and inbound":   {opts: trust, inbound: []string{"theirs"}, context: "ours", want: "ours"},
		"in the context but not valid": {context: "a\nb"},
	} {
		t.Run(name, func(t *testing.T) {
			var id string
			h := httpmw.RequestID(row.opts...)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				id, _ = idgen.FromContext(r.Context())
			}))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["X-Request-Id"] = row.inbound
			if row.context != "" {
				r = r.WithContext(idgen.NewContext(r.Context(), row.context))
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			equal(t, "answered ID", w.Header().Get(httpmw.RequestIDHeader), id)
			switch {
			case row.want != "":
				equal(t, "ID", id, row.want)
			case !idgen.ValidRequestID(id), id == row.context, len(row.inbound) > 0 && id == row.inbound[0]:
				t.Errorf("ID %q was not generated", id)
			}
		})
	}
}

// Such as that of a middleware which takes over whatever a client has sent.
func TestALockedRequestWithoutAValidIDGetsOne(t *testing.T) {
	for name, row := range map[string]struct {
		context string
		kept    bool
	}{
		"valid":     {"ours", true},
		"empty":     {"", false},
		"a newline": {"a\nb", false},
		"too long":  {strings.Repeat("a", idgen.MaxRequestIDLen+1), false},
	} {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			var id string
			lock := mustNew(t, fake, httpmw.Key(template), httpmw.Wait(0))
			h := orders(lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				id, _ = idgen.FromContext(r.Context())
				_, err := fake.Acquire(context.Background(), key42, core.Wait(0))
				if ae, is := errors.AsType[*core.AcquireError](err); !is || ae.Info.Blocker.RequestID != id {
					t.Errorf("the holder is not known by %q: %v", id, err)
				}
			})))
			r := httptest.NewRequest(http.MethodPut, "/orders/42", nil)
			h.ServeHTTP(httptest.NewRecorder(), r.WithContext(idgen.NewContext(r.Context(), row.context)))
			equal(t, "valid", idgen.ValidRequestID(id), true)
			equal(t, "kept", id == row.context, row.kept)
		})
	}
}

func TestGeneratedRequestIDsDiffer(t *testing.T) {
	h := httpmw.RequestID()(http.HandlerFunc(ok))
	seen := map[string]bool{}
	for range 100 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		seen[w.Header().Get("X-Request-ID")] = true
	}
	equal(t, "different IDs", len(seen), 100)
}

// What comes with a request never gets into the answer or the context unless it
// is fit for a header, a URL and a log line.
func FuzzInboundRequestIDs(f *testing.F) {
	for _, id := range []string{
		"", "7f3a", "a b", "a\r\nSet-Cookie: x=1", "a\n", "é", "\xff", "a\x00", "\u2028", strings.Repeat("a", idgen.MaxRequestIDLen),
		strings.Repeat("a", idgen.MaxRequestIDLen+1), "a%0d%0a", "../..", "<script>",
	} {
		f.Add(id, true)
		f.Add(id, false)
	}
	f.Fuzz(func(t *testing.T, inbound string, trusted bool) {
		var opts []httpmw.RequestIDOption
		if trusted {
			opts = append(opts, httpmw.TrustRequestID())
		}
		var id string
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["X-Request-Id"] = []string{inbound}
		w := httptest.NewRecorder()
		httpmw.RequestID(opts...)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			id, _ = idgen.FromContext(r.Context())
		})).ServeHTTP(w, r)
		if fit := regexp.MustCompile(`\A[A-Za-z0-9._~-]{1,128}\z`).MatchString; !fit(id) || (id == inbound) != (trusted && fit(inbound)) {
			t.Fatalf("inbound %q, trusted %v: ID %q", inbound, trusted, id)
		}
		equal(t, "answered IDs", strings.Join(w.Result().Header.Values(httpmw.RequestIDHeader), ","), id)
	})
}
