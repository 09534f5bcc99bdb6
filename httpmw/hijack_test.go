package httpmw_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

const upgrade = "GET /orders/42 HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: echo\n\n"

// takeOver is how a library upgrades a connection. It answers errors by 500.
type takeOver func(http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error)

var takeOvers = map[string]takeOver{
	"by assertion": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
		h, is := w.(http.Hijacker)
		if !is {
			return nil, nil, errors.New("not a Hijacker")
		}
		return h.Hijack()
	},
	"by a ResponseController": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
		return http.NewResponseController(w).Hijack()
	},
	"by unwrapping": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
		for {
			if h, is := w.(http.Hijacker); is {
				return h.Hijack()
			}
			u, is := w.(interface{ Unwrap() http.ResponseWriter })
			if !is {
				return nil, nil, errors.New("nothing unwraps to a Hijacker")
			}
			w = u.Unwrap()
		}
	},
	"after sending 101": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "echo")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			w.Header().Del("Connection")
			w.Header().Del("Upgrade")
		}
		return conn, rw, err
	},
}

// Writers of middlewares around the lock, as they are often written.
type (
	plainWriter struct{ http.ResponseWriter } // hides all, unwraps to all

	flushingWriter struct {
		plainWriter
		http.Flusher
	}
)

func (w plainWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

var writersAround = map[string]func(http.ResponseWriter) http.ResponseWriter{
	"net/http's writer": func(w http.ResponseWriter) http.ResponseWriter { return w },
	"a wrapped writer":  func(w http.ResponseWriter) http.ResponseWriter { return plainWriter{w} },
	"one with a Flusher": func(w http.ResponseWriter) http.ResponseWriter {
		return flushingWriter{plainWriter{w}, w.(http.Flusher)}
	},
	"two of them": func(w http.ResponseWriter) http.ResponseWriter { return plainWriter{plainWriter{w}} },
}

// serveAround serves the one route with its ResponseWriter wrapped before the lock
// gets it.
func serveAround(t *testing.T, h http.Handler, wrap func(http.ResponseWriter) http.ResponseWriter) (*httptest.Server, *lines) {
	t.Helper()
	mux := orders(h)
	return serveLogged(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mux.ServeHTTP(wrap(w), r) }))
}

func TestByDefaultNoWayToTakeOverTheConnectionSucceeds(t *testing.T) {
	for way, take := range takeOvers {
		for around, wrap := range writersAround {
			t.Run(way+", "+around, func(t *testing.T) {
				fake := locktest.New()
				lock := mustNew(t, fake, httpmw.Key(template))
				s, logged := serveAround(t, lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _, err := take(w)
					if !errors.Is(err, httpmw.ErrHijackRefused) || !errors.Is(err, http.ErrNotSupported) {
						t.Errorf("Hijack: %v", err)
					}
					http.Error(w, "no upgrade", http.StatusInternalServerError)
				})), wrap)
				answer := exchange(t, s, upgrade)
				if !strings.HasPrefix(answer, "HTTP/1.1 500 ") || !strings.HasSuffix(answer, "\nno upgrade\n") {
					t.Errorf("answer: %s", answer)
				}
				s.Close()
				equal(t, "log", logged.String(), "")
			})
		}
	}
}

func TestARefusedUpgradeThatIsNotAnsweredIs501(t *testing.T) {
	for way, do := range map[string]func(http.ResponseWriter){
		"hijacks": func(w http.ResponseWriter) { _, _, _ = http.NewResponseController(w).Hijack() },
		"sends 101": func(w http.ResponseWriter) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "echo")
			w.WriteHeader(http.StatusSwitchingProtocols)
		},
	} {
		t.Run(way, func(t *testing.T) {
			lock := mustNew(t, locktest.New(), httpmw.Key(template))
			s := serve(t, orders(lock(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { do(w) }))))
			equal(t, "answer", exchange(t, s, upgrade), "HTTP/1.1 501 Not Implemented\nContent-Length: 0\n\n")
		})
	}
}

func TestAReverseProxyBehindALockAnswersBadGatewayToAnUpgrade(t *testing.T) {
	behind := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "echo")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close()
	}))
	lock := mustNew(t, locktest.New(), httpmw.Key(template))
	causes := make(chan error, 1)
	proxy := httputil.NewSingleHostReverseProxy(must(url.Parse(behind.URL)))
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
		causes <- err
		w.WriteHeader(http.StatusBadGateway)
	}
	answer := exchange(t, serve(t, orders(lock(proxy))), upgrade)
	if !strings.HasPrefix(answer, "HTTP/1.1 502 ") {
		t.Errorf("answer: %s", answer)
	}
	receive(t, causes)
}

// taken serves a handler that takes its connection over, tells the test, and goes
// on until it is told to return. It echoes one line.
type taken struct {
	fake   *locktest.Fake
	inside chan context.Context // the handler's, once it has taken the connection over
	finish chan struct{}
}

func (k *taken) handler(t *testing.T, take takeOver) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := take(w)
		if err != nil {
			t.Errorf("Hijack: %v", err)
			close(k.inside)
			return
		}
		defer conn.Close()
		k.inside <- r.Context()
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(conn, "echo: "+line)
		<-k.finish
	})
}

func TestWhatBecomesOfTheLockWhenTheConnectionIsTakenOver(t *testing.T) {
	for name, row := range map[string]struct {
		policy httpmw.HijackPolicy
		held   bool // while the connection is taken over
	}{"held": {httpmw.HoldUntilReturn, true}, "detached": {httpmw.Detach, false}} {
		for way, take := range takeOvers {
			for around, wrap := range writersAround {
				t.Run(fmt.Sprint(name, ", ", way, ", ", around), func(t *testing.T) {
					k := &taken{locktest.New(), make(chan context.Context, 1), make(chan struct{})}
					lock := mustNew(t, k.fake, httpmw.Key(template), httpmw.OnHijack(row.policy))
					s, _ := serveAround(t, lock(k.handler(t, take)), wrap)
					conn := dial(t, s, upgrade)
					ctx := receive(t, k.inside)
					equal(t, "held", k.fake.Held(key42), row.held)
					if lock, ok := core.FromContext(ctx); !ok || (lock.Remaining() > 0) != row.held {
						t.Errorf("the handler's lock: %v", lock)
					}
					if ctx.Err() != nil || context.Cause(ctx) != nil {
						t.Errorf("the handler's context has ended: %v", context.Cause(ctx))
					}
					if _, err := io.WriteString(conn, "hello\n"); err != nil {
						t.Fatal(err)
					}
					close(k.finish)
					all, err := io.ReadAll(conn)
					if err != nil || !strings.HasSuffix(string(all), "echo: hello\n") {
						t.Errorf("%q, %v", all, err)
					}
					if err := k.fake.AwaitFree(soon(t), key42); err != nil {
						t.Error(err)
					}
					<-ctx.Done() // the handler has returned
				})
			}
		}
	}
}

// After its own lock is given back, another's must not be taken away with it.
func TestAfterDetachTheNextHolderKeepsItsLock(t *testing.T) {
	k := &taken{locktest.New(), make(chan context.Context, 1), make(chan struct{})}
	lock := mustNew(t, k.fake, httpmw.Key(template), httpmw.OnHijack(httpmw.Detach))
	s := serve(t, orders(lock(k.handler(t, takeOvers["by assertion"]))))
	conn := dial(t, s, upgrade+"hello\n")
	ctx := receive(t, k.inside)
	k.fake.Hold(key42)
	close(k.finish)
	if _, err := io.ReadAll(conn); err != nil {
		t.Error(err)
	}
	<-ctx.Done()
	equal(t, "held by the next", k.fake.Held(key42), true)
}

func TestWithDetachALossBeforeTheUpgradeCancelsTheHandler(t *testing.T) {
	fake := locktest.New()
	lock := mustNew(t, fake, httpmw.Key(template), httpmw.OnHijack(httpmw.Detach))
	cause := make(chan error, 1)
	s := serve(t, orders(lock(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fake.Lose(key42)
		<-r.Context().Done()
		cause <- context.Cause(r.Context())
	}))))
	status, body := put(t, s, "/orders/42")
	equal(t, "status", status, http.StatusInternalServerError)
	equal(t, "reason", reason(t, body), core.ReasonLost)
	if err := receive(t, cause); !errors.Is(err, core.ErrLost) {
		t.Errorf("cause: %v", err)
	}
}

func TestWithDetachTheHandlersContextEndsWithItsRequest(t *testing.T) {
	gone := errors.New("the request has ended")
	for name, hijacks := range map[string]bool{"before the upgrade": false, "after it": true} {
		t.Run(name, func(t *testing.T) {
			lock := mustNew(t, locktest.New(), httpmw.Key(template), httpmw.OnHijack(httpmw.Detach))
			ctx, cancel := context.WithCancelCause(t.Context())
			deadline, stop := context.WithTimeout(ctx, patience)
			defer stop()
			w := hijackable{httptest.NewRecorder()}
			lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if hijacks {
					if _, _, err := w.(http.Hijacker).Hijack(); err != nil {
						t.Error(err)
					}
				}
				if _, has := r.Context().Deadline(); !has {
					t.Error("the request's deadline is hidden")
				}
				cancel(gone)
				<-r.Context().Done()
				equal(t, "cause", context.Cause(r.Context()), gone)
			})).ServeHTTP(w, idRequest().WithContext(deadline))
		})
	}
}

func TestWithDetachAFailedHijackKeepsTheLock(t *testing.T) {
	fake := locktest.New()
	lock := mustNew(t, fake, httpmw.Key(template), httpmw.OnHijack(httpmw.Detach))
	lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, err := w.(http.Hijacker).Hijack(); err == nil {
			t.Error("Hijack succeeded")
		}
		if l, ok := core.FromContext(r.Context()); !ok || l.Remaining() <= 0 {
			t.Error("the lock was given back")
		}
	})).ServeHTTP(unhijackable{httptest.NewRecorder()}, idRequest())
}

// idRequest is a request for order 42, as a mux hands it on.
func idRequest() *http.Request {
	r := httptest.NewRequest(http.MethodPut, "/orders/42", nil)
	r.Pattern = pattern
	r.SetPathValue("id", "42")
	return r
}

// hijackable has a connection to be taken over.
type hijackable struct{ *httptest.ResponseRecorder }

func (hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, other := net.Pipe()
	_ = other.Close()
	return conn, nil, nil
}

func TestAWriterWithoutAConnectionToTakeOverIsNotMadeAHijacker(t *testing.T) {
	for name, w := range map[string]http.ResponseWriter{
		"plain": httptest.NewRecorder(), "wrapped": plainWriter{httptest.NewRecorder()},
	} {
		lock := mustNew(t, locktest.New(), httpmw.Key(template))
		lock(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if _, is := w.(http.Hijacker); is {
				t.Errorf("%s: it is a Hijacker", name)
			}
		})).ServeHTTP(w, idRequest())
	}
}
