package httpmw_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// inProcess is a base whose server is h.
type inProcess struct{ h http.Handler }

func (s inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	return w.Result(), nil
}

func lockerOn(t *testing.T, mini *locktest.Mini, opts ...core.Option) *core.RedisLocker {
	l, err := core.New(mini.Client(nil), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// Three retries outlast a hold of a second or two, within the client's patience,
// whatever the server has seen of other holds: nothing, or many that were quick.
func TestThreeRetriesOutlastASlowHolder(t *testing.T) {
	const runs, enough = 20, 19
	for name, c := range map[string]struct {
		quick     string // a path that has been asked for 10 times
		elsewhere bool   // the holder is in another process
		held      time.Duration
		wait      time.Duration
	}{
		"beside a quick route":                          {quick: "/quick/1", held: 2 * time.Second},
		"beside a quick route with the same key":        {quick: "/quick/42", held: 2 * time.Second},
		"on a route that is quick with others":          {quick: "/orders/1", held: 2 * time.Second},
		"that another replica holds, quick with others": {quick: "/orders/1", held: 2 * time.Second, elsewhere: true},
		"in a young process":                            {held: time.Second, wait: 100 * time.Millisecond},
		"in a young process, held by another":           {held: time.Second, wait: 100 * time.Millisecond, elsewhere: true},
		"in a young process, held for long":             {held: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			served := 0
			for range runs {
				synctest.Test(t, func(t *testing.T) {
					mini := locktest.StartMini(t)
					locker, other := lockerOn(t, mini), lockerOn(t, mini)
					server := func(l core.Locker, slow time.Duration) http.Handler {
						lock := mustNew(t, l, httpmw.Key("order:{path.id}"), httpmw.Wait(c.wait))
						h := lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							d := time.Millisecond
							if r.PathValue("id") == "42" && r.URL.Path != "/quick/42" {
								d = slow
							}
							time.Sleep(d)
						}))
						mux := http.NewServeMux()
						mux.Handle("POST /orders/{id}", h)
						mux.Handle("POST /quick/{id}", h)
						return mux
					}
					post := func(rt http.RoundTripper, path string) int {
						ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
						defer cancel()
						r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://shop"+path, nil)
						if err != nil {
							t.Fatal(err)
						}
						resp, err := rt.RoundTrip(r)
						if err != nil {
							t.Fatal(err)
						}
						return resp.StatusCode
					}
					here := inProcess{server(locker, c.held)}
					holder := here
					if c.elsewhere {
						holder = inProcess{server(other, c.held)}
					}
					if c.quick != "" {
						for range 10 {
							post(here, c.quick)
						}
					}
					var first sync.WaitGroup
					first.Go(func() { post(holder, "/orders/42") })
					synctest.Wait()
					client, err := httpmw.Transport(here, httpmw.RetryHeld(3))
					if err != nil {
						t.Fatal(err)
					}
					if post(client, "/orders/42") == http.StatusOK {
						served++
					}
					first.Wait()
				})
			}
			t.Logf("%d of %d were served", served, runs)
			if served < enough {
				t.Errorf("want %d", enough)
			}
		})
	}
}
