package httpmw_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// A handler that uses its lock without looking at the bool works where there is
// none, and can tell.
func TestAHandlerWithoutItsLockFindsTokenZero(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*locktest.Fake)
		opts    []httpmw.Option
		path    string
	}{
		"Shadow":           {prepare: func(f *locktest.Fake) { f.FailBackend(errors.New("down")) }, opts: []httpmw.Option{httpmw.Shadow()}},
		"FailOpen":         {prepare: func(f *locktest.Fake) { f.FailBackend(errors.New("down")) }, opts: []httpmw.Option{httpmw.OnBackendError(core.FailOpen)}},
		"Skip":             {opts: []httpmw.Option{httpmw.OnMissing(httpmw.Skip)}, path: "/orders"},
		"an excepted path": {opts: []httpmw.Option{httpmw.Except(httpmw.PathPrefix("/orders"))}},
	} {
		t.Run(name, func(t *testing.T) {
			locks := locktest.New()
			if c.prepare != nil {
				c.prepare(locks)
			}
			lock, err := httpmw.New(locks, httpmw.Key("order:{query.id}"), c.opts...)
			if err != nil {
				t.Fatal(err)
			}
			mux := http.NewServeMux()
			h := lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				lock, _ := core.FromContext(r.Context())
				fmt.Fprintf(w, "%q %d %v", lock.Key(), lock.Token(), lock.Release(r.Context()))
			}))
			mux.Handle("PUT /orders", h)
			path := c.path
			if path == "" {
				path = "/orders?id=7"
			}
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest("PUT", path, nil))
			if want := fmt.Sprintf(`"" 0 %v`, core.ErrNotHeld); w.Code != http.StatusOK || w.Body.String() != want {
				t.Errorf("%d %s, want %s", w.Code, w.Body, want)
			}
		})
	}
}
