package httpmw_test

import (
	"errors"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
	"github.com/latchkey-go/latchkey/idgen"
)

func TestRequestsWithOneKeyRunOneAtATime(t *testing.T) {
	const requests = 40
	var inside, most, ran atomic.Int32
	lock := mustNew(t, locktest.New(), httpmw.Key(template), httpmw.Wait(patience))
	s := serve(t, orders(lock(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if n := inside.Add(1); n > most.Load() {
			most.Store(n)
		}
		ran.Add(1)
		inside.Add(-1)
	}))))
	var clients sync.WaitGroup
	for range requests {
		clients.Go(func() {
			if status, body, err := send(s, http.MethodPut, "/orders/42", strings.NewReader("paid")); status != 200 {
				t.Error(status, body, err)
			}
		})
	}
	clients.Wait()
	equal(t, "requests at a time", most.Load(), 1)
	equal(t, "requests that ran", ran.Load(), requests)
}

func TestTheHandlerFindsItsLockAndItsRequestID(t *testing.T) {
	fake := locktest.New()
	type found struct {
		key, id string
		token   uint64
	}
	got := make(chan found, 1)
	lock := mustNew(t, fake, httpmw.Key(template))
	s := serve(t, orders(lock(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		l, held := core.FromContext(r.Context())
		if !held {
			t.Error("no lock in the context")
			return
		}
		id, _ := idgen.FromContext(r.Context())
		got <- found{l.Key(), id, l.Token()}
	}))))
	put(t, s, "/orders/42")
	f := receive(t, got)
	equal(t, "key", f.key, key42)
	if f.token == 0 || !idgen.ValidRequestID(f.id) {
		t.Errorf("token %d, request ID %q", f.token, f.id)
	}
	if err := fake.AwaitFree(soon(t), key42); err != nil {
		t.Errorf("the lock was not released: %v", err)
	}
}

func TestTheHolderIsKnownByItsRequestID(t *testing.T) {
	fake := locktest.New()
	denials := make(chan *core.Denial, 1)
	started, finish := make(chan string, 1), make(chan struct{})
	lock := mustNew(t, fake, httpmw.Key(template), httpmw.Wait(0),
		httpmw.OnDeny(func(_ http.ResponseWriter, _ *http.Request, d *core.Denial) { denials <- d }))
	s := serve(t, orders(lock(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id, _ := idgen.FromContext(r.Context())
		started <- id
		<-finish
	}))))
	var first sync.WaitGroup
	first.Go(func() { put(t, s, "/orders/42") })
	id := receive(t, started)
	status, body := put(t, s, "/orders/42")
	equal(t, "status", status, http.StatusConflict)
	equal(t, "reason of a denial that OnDeny only looked at", reason(t, body), core.ReasonHeld)
	if d := receive(t, denials); d.Holder == nil || d.Holder.RequestID != id {
		t.Errorf("the denial names %+v as the holder, want request %s", d.Holder, id)
	}
	close(finish)
	first.Wait()
}

func TestOnDenyCanWriteAnything(t *testing.T) {
	fake := locktest.New()
	fake.Hold(key42)
	lock := mustNew(t, fake, httpmw.Key(template), httpmw.Wait(0),
		httpmw.OnDeny(func(w http.ResponseWriter, r *http.Request, d *core.Denial) {
			if id, known := idgen.FromContext(r.Context()); !known {
				t.Error("the request of OnDeny has no ID", id)
			}
			http.Error(w, "come back later: "+string(d.Reason), http.StatusLocked)
		}))
	status, body := put(t, serve(t, orders(lock(http.HandlerFunc(ok)))), "/orders/42")
	equal(t, "status", status, http.StatusLocked)
	equal(t, "body", body, "come back later: LOCK_HELD\n")
}

func TestASelfDeadlockNamesTheTemplateInTheLog(t *testing.T) {
	fake := locktest.New()
	causes := make(chan error, 1)
	lock := mustNew(t, fake, httpmw.Key(template),
		httpmw.OnDeny(func(_ http.ResponseWriter, _ *http.Request, d *core.Denial) { causes <- d.Cause }))
	s := serve(t, orders(lock(lock(http.HandlerFunc(ok)))))
	status, _ := put(t, s, "/orders/42")
	equal(t, "status", status, http.StatusInternalServerError)
	if err := receive(t, causes); !errors.Is(err, core.ErrSelfDeadlock) || !strings.Contains(err.Error(), template) {
		t.Errorf("cause: %v", err)
	}
}

func TestWhenTheBackendIsDown(t *testing.T) {
	for name, row := range map[string]struct {
		policy core.BackendErrorPolicy
		status int
	}{"fail closed": {core.FailClosed, 503}, "fail open": {core.FailOpen, 200}} {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			fake.FailBackend(errors.New("connection refused"))
			lock := mustNew(t, fake, httpmw.Key(template), httpmw.OnBackendError(row.policy))
			s := serve(t, orders(lock(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if _, held := core.FromContext(r.Context()); held {
					t.Error("a handler without a lock was told that it has one")
				}
			}))))
			status, _ := put(t, s, "/orders/42")
			equal(t, "status", status, row.status)
		})
	}
}

func TestPanicsPassThroughUnchangedAfterTheRelease(t *testing.T) {
	fake := locktest.New()
	bug := errors.New("a bug in the handler")
	recovered := make(chan any, 1)
	lock := mustNew(t, fake, httpmw.Key(template))
	locked := orders(lock(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(bug) })))
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if fake.Held(key42) {
				t.Error("the lock is held beyond the panic")
			}
			recovered <- recover()
			w.WriteHeader(http.StatusTeapot)
		}()
		locked.ServeHTTP(w, r)
	}))
	status, _ := put(t, s, "/orders/42")
	equal(t, "status", status, http.StatusTeapot)
	equal(t, "panic value", receive(t, recovered), any(bug))
}

func TestErrAbortHandlerClosesTheConnectionQuietly(t *testing.T) {
	fake := locktest.New()
	lock := mustNew(t, fake, httpmw.Key(template))
	abort := func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }
	s, logged := serveLogged(t, orders(lock(http.HandlerFunc(abort))))
	equal(t, "answer", exchange(t, s, request), "")
	if err := fake.AwaitFree(soon(t), key42); err != nil {
		t.Errorf("the lock was not released: %v", err)
	}
	s.Close()
	equal(t, "log", logged.String(), "")
}

// lines is a log's writer. A server that is closed may write to it yet: it does not
// wait for handlers of HTTP/2 in the clear.
type lines struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// await tells whether what is logged has text in it, soon.
func (l *lines) await(t *testing.T, text string) bool {
	for ctx := soon(t); ctx.Err() == nil; time.Sleep(time.Millisecond) {
		if strings.Contains(l.String(), text) {
			return true
		}
	}
	return false
}

func serveLogged(t *testing.T, h http.Handler) (*httptest.Server, *lines) {
	t.Helper()
	logged := &lines{}
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(logged, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s, logged
}
