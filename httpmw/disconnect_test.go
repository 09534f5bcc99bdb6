package httpmw_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

func TestACanceledRequestIsNeverAnsweredWithAnImplicit200(t *testing.T) {
	// The context that Shutdown hooks cancel while clients are still there.
	base, cancel := context.WithCancel(context.Background())
	fake := locktest.New()
	fake.Hold(key42)
	denials := make(chan core.Reason, 1)
	lock := mustNew(t, fake, httpmw.Key(template), httpmw.Wait(patience),
		httpmw.OnDeny(func(_ http.ResponseWriter, _ *http.Request, d *core.Denial) { denials <- d.Reason }))
	s := httptest.NewUnstartedServer(orders(lock(http.HandlerFunc(ok))))
	s.Config.BaseContext = func(net.Listener) context.Context { return base }
	s.Start()
	t.Cleanup(s.Close)

	go func() {
		if err := fake.AwaitWaiting(base, key42, 1); err == nil {
			cancel()
		}
	}()
	equal(t, "answer", exchange(t, s, request), "")
	equal(t, "reason", receive(t, denials), core.ReasonCanceled)
}

func TestAClientThatDisconnectsLeavesTheLine(t *testing.T) {
	for name, request := range map[string]string{
		"without a body":    "PUT /orders/42 HTTP/1.1\nHost: h\n\n",
		"with a small body": "POST /orders/42 HTTP/1.1\nHost: h\nContent-Length: 10\n\n0123456789",
		"with 64 KiB":       "POST /orders/42 HTTP/1.1\nHost: h\nContent-Length: 65536\n\n" + strings.Repeat("x", 64<<10),
		"HTTP/1.0":          "POST /orders/42 HTTP/1.0\nContent-Length: 4\n\nbody",
		"chunked":           "POST /orders/42 HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n4\nbody\n0\n\n",
		"Expect":            "POST /orders/42 HTTP/1.1\nHost: h\nExpect: 100-continue\nContent-Length: 4\n\nbody",
	} {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			fake.Hold(key42)
			denials := make(chan core.Reason, 1)
			opts := []httpmw.Option{
				httpmw.Wait(2 * patience), httpmw.OnDeny(func(_ http.ResponseWriter, _ *http.Request, d *core.Denial) { denials <- d.Reason }),
			}
			if name == "chunked" {
				opts = append(opts, httpmw.RequireBuffered())
			}
			lock := mustNew(t, fake, httpmw.Key(template), opts...)
			s := serve(t, orders(lock(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				t.Error("the handler ran for a client that is gone")
			}))))
			conn := dial(t, s, request)
			if err := fake.AwaitWaiting(soon(t), key42, 1); err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			equal(t, "reason", receive(t, denials), core.ReasonCanceled)
			equal(t, "waiters", fake.Waiting(key42), 0)
		})
	}
}

// A client that goes just as the request's deadline passes, mostly because of it.
func TestAClientThatLeavesAtTheDeadlineIsCountedAsThat(t *testing.T) {
	for name, c := range map[string]struct {
		leaves time.Duration // before the deadline, which is after 2 s
		want   core.Reason
	}{
		"at the deadline":  {5 * time.Millisecond, core.ReasonDeadline},
		"well before that": {time.Second, core.ReasonCanceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := locktest.New()
				defer fake.Hold(key42)()
				var got core.Reason
				h := orders(mustNew(t, fake, httpmw.Key(template),
					httpmw.OnDeny(func(_ http.ResponseWriter, _ *http.Request, d *core.Denial) { got = d.Reason }))(http.NotFoundHandler()))
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				time.AfterFunc(2*time.Second-c.leaves, cancel)
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPut, "/orders/42", nil).WithContext(ctx))
				if got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
			})
		})
	}
}
