package httpmw_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// http2 are the protocols on whose connections requests share a window.
var http2 = []string{"HTTP/2 with TLS", "HTTP/2 in the clear"}

// length answers with the length of the body, so that the client sees that all of it
// came.
func length(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	_, _ = fmt.Fprint(w, n, err)
}

// window is a connection over HTTP/2 to a route whose order 42 is held.
type window struct {
	t      *testing.T
	fake   *locktest.Fake
	runs   chan struct{} // a handler
	free   func()
	server *httptest.Server
	client *http.Client
}

func eachWindow(t *testing.T, opts []httpmw.Option, test func(*window)) {
	for _, name := range http2 {
		t.Run(name, func(t *testing.T) {
			w := &window{t: t, fake: locktest.New(), runs: make(chan struct{}, 200)}
			w.free = sync.OnceFunc(w.fake.Hold(key42))
			lock := mustNew(t, w.fake, httpmw.Key(template), append([]httpmw.Option{httpmw.Wait(2 * patience)}, opts...)...)
			w.server = serveBoth(t, orders(lock(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				w.runs <- struct{}{}
				length(rw, r)
			}))), protocols[name].tls, &lines{})
			w.client = clientOf(t, w.server, protocols[name].set)
			w.client.Timeout = patience
			if got := w.post("1", strings.NewReader("")); got != "200 0 <nil>" { // opens the connection
				t.Fatal(got)
			}
			<-w.runs
			test(w)
		})
	}
}

func (w *window) post(id string, body io.Reader) string {
	resp, err := w.client.Post(w.server.URL+"/orders/"+id, "text/plain", body)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	if resp.StatusCode == http.StatusConflict && resp.Header.Get("Retry-After") == "" {
		w.t.Error("no hint")
	}
	if strings.Contains(string(text), `"LOCK_HELD"`) {
		text = []byte("LOCK_HELD")
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, text)
}

// wantServed has a request for a free key served, on the same connection.
func (w *window) wantServed() {
	w.t.Helper()
	const size = 20 << 10
	asked := time.Now()
	equal(w.t, "a free key", w.post("7", bytes.NewReader(make([]byte, size))), fmt.Sprint("200 ", size, " <nil>"))
	w.t.Logf("a free key was served in %v", time.Since(asked).Round(time.Microsecond))
}

func TestRequestsInLineLeaveTheWindowToOthers(t *testing.T) {
	for _, size := range []int{12 << 10, 64 << 10} {
		for _, opts := range [][]httpmw.Option{nil, {httpmw.RequireBuffered()}} {
			eachWindow(t, opts, func(w *window) {
				const waiters = 95 // as many streams as a connection has, almost
				var all sync.WaitGroup
				for i := range waiters {
					all.Go(func() {
						body := io.Reader(bytes.NewReader(make([]byte, size)))
						if i%2 == 0 {
							body = io.MultiReader(body) // hides the length
						}
						equal(t, "a waiter", w.post("42", body), fmt.Sprint("200 ", size, " <nil>"))
					})
				}
				if err := w.fake.AwaitWaiting(soon(t), key42, waiters); err != nil {
					t.Fatal(err)
				}
				w.wantServed()
				w.free()
				all.Wait()
			})
		}
	}
}

func TestALongBodyOverHTTP2DoesNotWaitInLine(t *testing.T) {
	const size = 2 << 20
	for name, hide := range map[string]func(io.Reader) io.Reader{
		"Content-Length": func(r io.Reader) io.Reader { return r },
		"unknown length": func(r io.Reader) io.Reader { return io.MultiReader(r) },
	} {
		body := func() io.Reader { return hide(bytes.NewReader(make([]byte, size))) }
		t.Run(name, func(t *testing.T) {
			eachWindow(t, nil, func(w *window) {
				for range 3 { // what was not read of a body is given back
					equal(t, "a held key", w.post("42", body()), "409 LOCK_HELD")
					w.wantServed()
				}
				equal(t, "waiters", w.fake.Waiting(key42), 0)
				w.free()
				equal(t, "a free key", w.post("42", body()), fmt.Sprint("200 ", size, " <nil>"))
			})
		})
	}
}

func TestWaitUnreadLetsALongBodyWait(t *testing.T) {
	const size = 100 << 10
	for name, opts := range map[string][]httpmw.Option{
		"a long one": {httpmw.WaitUnread()},
		"Unbuffered": {httpmw.WaitUnread(), httpmw.Unbuffered()},
	} {
		t.Run(name, func(t *testing.T) {
			eachWindow(t, opts, func(w *window) {
				answer := make(chan string, 1)
				go func() { answer <- w.post("42", bytes.NewReader(make([]byte, size))) }()
				if err := w.fake.AwaitWaiting(soon(t), key42, 1); err != nil {
					t.Fatal(err)
				}
				w.free()
				equal(t, "the waiter", receive(t, answer), fmt.Sprint("200 ", size, " <nil>"))
			})
		})
	}
	// Over HTTP/1, a request has its connection to itself.
	fake := locktest.New()
	free := fake.Hold(key42)
	lock := mustNew(t, fake, httpmw.Key(template), httpmw.Wait(2*patience))
	s := serve(t, orders(lock(http.HandlerFunc(length))))
	go func() {
		if fake.AwaitWaiting(soon(t), key42, 1) == nil {
			free()
		}
	}()
	_, text, err := send(s, http.MethodPost, "/orders/42", bytes.NewReader(make([]byte, size)))
	equal(t, "HTTP/1", fmt.Sprint(text, err), fmt.Sprint(size, " <nil><nil>"))
}

func TestAnUnbufferedBodyOverHTTP2DoesNotWaitInLine(t *testing.T) {
	eachWindow(t, []httpmw.Option{httpmw.Unbuffered()}, func(w *window) {
		equal(t, "a held key", w.post("42", strings.NewReader("body")), "409 LOCK_HELD")
		answer := make(chan string, 1)
		go func() { answer <- w.post("42", nil) }() // no body, nothing to read
		if err := w.fake.AwaitWaiting(soon(t), key42, 1); err != nil {
			t.Fatal(err)
		}
		w.free()
		equal(t, "without a body", receive(t, answer), "200 0 <nil>")
	})
}

// The holder reads its body while others are in line.
func TestRequestsInLineLeaveTheWindowToTheHolder(t *testing.T) {
	for _, opts := range [][]httpmw.Option{{httpmw.MaxBuffered(16 << 10)}, {httpmw.Unbuffered()}} {
		eachWindow(t, opts, func(w *window) {
			w.free()
			r, sent := io.Pipe()
			holder := make(chan string, 1)
			go func() { holder <- w.post("42", r) }()
			_, _ = sent.Write(make([]byte, 20<<10))
			receive(t, w.runs)
			var all sync.WaitGroup
			for range 95 {
				all.Go(func() { w.post("42", bytes.NewReader(make([]byte, 12<<10))) })
			}
			_, _ = sent.Write(make([]byte, 100<<10))
			_ = sent.Close()
			equal(t, "the holder", receive(t, holder), fmt.Sprint("200 ", 120<<10, " <nil>"))
			all.Wait()
		})
	}
}
