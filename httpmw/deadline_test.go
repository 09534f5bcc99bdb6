package httpmw_test

import (
	"cmp"
	"context"
	"io"
	"math"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// pipes is a listener without a network: a synctest bubble's clock moves on
// while its connections are idle.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.conns <- server
	return client, nil
}

func TestTimeInLineDoesNotCountTowardsTheWriteTimeout(t *testing.T) {
	const timeout = 2 * time.Second
	protocols := map[string]func(*http.Protocols){
		"HTTP/1": func(p *http.Protocols) { p.SetHTTP1(true) },
		"HTTP/2": func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
	}
	for protocol, set := range protocols {
		for name, row := range map[string]struct {
			release time.Duration // of the lock that stands in the way
			work    time.Duration // in the handler
			status  int           // 0 for a connection that the server gives up
			wait    time.Duration // the route's, 10*timeout if zero
		}{
			"granted at once, in time":       {0, timeout - 1, 200, 0},
			"granted at once, too slow":      {0, timeout + 1, 0, 0},
			"granted late, in time":          {3 * timeout, timeout - 1, 200, 0},
			"granted late, too slow":         {3 * timeout, timeout + 1, 0, 0},
			"denied later than WriteTimeout": {11 * timeout, 0, 409, 0},
			"denied for a wait beyond time":  {0, 0, 500, math.MaxInt64},
		} {
			t.Run(protocol+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fake := locktest.New()
					if row.release > 0 {
						time.AfterFunc(row.release, fake.Hold(key42))
					}
					lock := mustNew(t, fake, httpmw.Key(template),
						httpmw.WaitFunc(func(*http.Request) time.Duration { return cmp.Or(row.wait, 10*timeout) }))
					var p http.Protocols
					set(&p)
					l := &pipes{make(chan net.Conn), make(chan struct{})}
					server := &http.Server{
						WriteTimeout: timeout, Protocols: &p,
						Handler: orders(lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							if _, held := core.FromContext(r.Context()); !held {
								t.Error("no lock")
							}
							time.Sleep(row.work) // the work itself, on the bubble's clock
							_, _ = io.WriteString(w, "ok")
						}))),
					}
					go func() { _ = server.Serve(l) }()
					transport := &http.Transport{DialContext: l.dial, Protocols: &p}
					defer func() {
						transport.CloseIdleConnections()
						_ = server.Close()
						time.Sleep(time.Hour) // lets the fake's and the server's timers run out
					}()

					resp, err := transport.RoundTrip(must(http.NewRequest(http.MethodPut, "http://h/orders/42", nil)))
					status := 0
					if err == nil {
						status = resp.StatusCode
						if _, err := io.Copy(io.Discard, resp.Body); err != nil {
							t.Error(err)
						}
						_ = resp.Body.Close()
					}
					equal(t, "status", status, row.status)
				})
			})
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
