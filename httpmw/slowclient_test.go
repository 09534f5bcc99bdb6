package httpmw_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// slowBubble is a locked route, order 42's, on a server and with a client of its own,
// in a testing/synctest bubble: what takes minutes takes none.
type slowBubble struct {
	t      *testing.T
	fake   *locktest.Fake
	server *http.Server
	client *http.Transport
	pipes  *pipes
	dials  atomic.Int32
	serve  sync.Once // at the first dial: until then a test may change the server
	start  time.Time
	ctx    context.Context // ends with the test
}

var bubbleProtocols = map[string]func(*http.Protocols){
	"HTTP/1": func(p *http.Protocols) { p.SetHTTP1(true) },
	"HTTP/2": func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
}

// inSlowBubble runs test beside h. Afterwards nothing is held.
func inSlowBubble(t *testing.T, protocol string, h http.HandlerFunc, opts []httpmw.Option, test func(*slowBubble)) {
	synctest.Test(t, func(t *testing.T) {
		var p http.Protocols
		bubbleProtocols[protocol](&p)
		b := &slowBubble{t: t, fake: locktest.New(), pipes: &pipes{make(chan net.Conn), make(chan struct{})}, start: time.Now()}
		var cancel context.CancelFunc
		b.ctx, cancel = context.WithCancel(context.Background())
		lock := mustNew(t, b.fake, httpmw.Key(template), append([]httpmw.Option{httpmw.Wait(time.Minute)}, opts...)...)
		b.server = &http.Server{Protocols: &p, Handler: orders(lock(h))}
		b.client = &http.Transport{Protocols: &p, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			b.dials.Add(1)
			return b.dial(ctx)
		}}
		defer func() {
			cancel()
			b.client.CloseIdleConnections()
			_ = b.server.Close()
			time.Sleep(time.Hour) // lets the fake's and the server's timers run out
			if b.fake.Held(key42) {
				t.Error("the key is held")
			}
		}()
		test(b)
	})
}

func (b *slowBubble) dial(ctx context.Context) (net.Conn, error) {
	b.serve.Do(func() { go func() { _ = b.server.Serve(b.pipes) }() })
	return b.pipes.dial(ctx, "", "")
}

// post sends a request and reads its answer.
func (b *slowBubble) post(body io.Reader, length int64) (status int, text string, err error) {
	r := must(http.NewRequest(http.MethodPost, "http://h/orders/42", body))
	r.ContentLength = length
	resp, err := b.client.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	all, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(all), err
}

// wantHonest has another client ask for the key and be served within a while.
func (b *slowBubble) wantHonest(within time.Duration) {
	b.t.Helper()
	asked := time.Now()
	status, _, err := b.post(nil, 0)
	if took := time.Since(asked); status != http.StatusOK || err != nil || took > within {
		b.t.Errorf("another client: %d, %v after %v, want 200 within %v", status, err, took, within)
	}
}

// half is a body whose client sends its first five bytes and then nothing. It ends
// when the test does.
func (b *slowBubble) half() io.Reader {
	r, w := io.Pipe()
	context.AfterFunc(b.ctx, func() { _ = w.Close() })
	go func() { _, _ = io.WriteString(w, "hello") }()
	return r
}

// eachSlow runs test with each protocol, and bodies of a known and an unknown
// length.
func eachSlow(t *testing.T, test func(t *testing.T, protocol string, length int64)) {
	for protocol := range bubbleProtocols {
		for name, length := range map[string]int64{"Content-Length": 10, "unknown length": -1} {
			t.Run(protocol+", "+name, func(t *testing.T) { test(t, protocol, length) })
		}
	}
}

func TestABodyThatDoesNotComeHoldsNothing(t *testing.T) {
	for name, opts := range map[string][]httpmw.Option{
		"by default": nil, "Wait(0)": {httpmw.Wait(0)}, "RequireBuffered": {httpmw.RequireBuffered()},
	} {
		eachSlow(t, func(t *testing.T, protocol string, length int64) {
			slow := func(_ http.ResponseWriter, r *http.Request) {
				if r.ContentLength != 0 {
					t.Errorf("%s: the handler ran for the slow client", name)
				}
			}
			inSlowBubble(t, protocol, slow, opts, func(b *slowBubble) {
				answer := make(chan string, 1)
				go func() {
					status, text, err := b.post(b.half(), length)
					answer <- fmt.Sprint(status, strings.Contains(text, "LOCK_BODY_TIMEOUT"), err)
				}()
				synctest.Wait()
				b.wantHonest(0)
				equal(t, "the slow client's answer", <-answer, "408 true <nil>")
				equal(t, "after", time.Since(b.start), httpmw.DefaultClientTimeout)
			})
		})
	}
}

// What a handler waits for under the lock, with a body longer than MaxBuffered.
func TestAHandlerDoesNotWaitForItsClientForLong(t *testing.T) {
	const limit = 3 * time.Second
	big := bytes.Repeat([]byte("x"), 8<<20) // more than all windows and buffers
	text := string(big)
	file := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(file, big, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, wait := range map[string]func(http.ResponseWriter, *http.Request) error{
		"reads its body": func(_ http.ResponseWriter, r *http.Request) error {
			text, err := io.ReadAll(r.Body)
			if string(text) != "hello" {
				t.Errorf("it read %q", text)
			}
			return err
		},
		"writes": func(w http.ResponseWriter, r *http.Request) error {
			_, err := w.Write(big)
			return err
		},
		"writes a string": func(w http.ResponseWriter, r *http.Request) error {
			_, err := io.WriteString(w, text)
			return err
		},
		"writes and flushes": func(w http.ResponseWriter, r *http.Request) error {
			for range 8 << 10 {
				if _, err := w.Write(big[:1<<10]); err != nil {
					return err
				}
				if err := http.NewResponseController(w).Flush(); err != nil {
					return err
				}
			}
			return nil
		},
		"copies": func(w http.ResponseWriter, r *http.Request) error {
			_, err := io.Copy(w, io.MultiReader(bytes.NewReader(big)))
			return err
		},
		"copies a file": func(w http.ResponseWriter, r *http.Request) error {
			f, err := os.Open(file)
			if err != nil {
				t.Error(err)
			}
			defer f.Close()
			_, err = io.Copy(w, f)
			return err
		},
	} {
		for _, opts := range [][]httpmw.Option{{httpmw.MaxBuffered(4)}, {httpmw.Unbuffered()}} {
			eachSlow(t, func(t *testing.T, protocol string, length int64) {
				var ended error
				handler := func(w http.ResponseWriter, r *http.Request) {
					if r.ContentLength != 0 {
						ended = wait(w, r)
					}
				}
				inSlowBubble(t, protocol, handler, append(opts, httpmw.ClientTimeout(limit)), func(b *slowBubble) {
					r := must(http.NewRequestWithContext(b.ctx, http.MethodPost, "http://h/orders/42", b.half()))
					r.ContentLength = length
					go func() {
						if resp, err := b.client.RoundTrip(r); err == nil && name == "reads its body" {
							equal(t, "the slow client's answer", resp.StatusCode, http.StatusRequestTimeout)
						}
						// It reads no answer.
					}()
					synctest.Wait()
					if !b.fake.Held(key42) {
						t.Fatalf("%s: the handler does not run", name)
					}
					b.wantHonest(limit)
					if !errors.Is(ended, os.ErrDeadlineExceeded) { // under the lock, before the honest one's
						t.Errorf("%s: the handler's error: %v", name, ended)
					}
				})
			})
		}
	}
}

// net/http itself waits for what a handler leaves of an HTTP/1 body.
func TestAHandlerThatLeavesItsBodyDoesNotWaitForItForLong(t *testing.T) {
	for name, leave := range map[string]func(http.ResponseWriter, *http.Request){
		"answers":       func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 4<<10)) },
		"flushes":       func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
		"closes it":     func(_ http.ResponseWriter, r *http.Request) { _ = r.Body.Close() },
		"early hints":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusEarlyHints) },
		"closes it too": func(w http.ResponseWriter, r *http.Request) { ok(w, r); _ = r.Body.Close() },
	} {
		eachSlow(t, func(t *testing.T, protocol string, length int64) {
			handler := func(w http.ResponseWriter, r *http.Request) {
				if r.ContentLength != 0 {
					leave(w, r)
				}
			}
			inSlowBubble(t, protocol, handler, []httpmw.Option{httpmw.MaxBuffered(4)}, func(b *slowBubble) {
				go func() { _, _, _ = b.post(b.half(), length) }()
				synctest.Wait()
				t.Log(name)
				b.wantHonest(httpmw.DefaultClientTimeout)
			})
		})
	}
}

// Nobody waits behind a request that is denied, but a goroutine and a connection
// wait for it.
func TestADeniedRequestIsAnsweredThoughItsBodyDoesNotCome(t *testing.T) {
	for name, opts := range map[string][]httpmw.Option{
		"LOCK_HELD":           {httpmw.Unbuffered(), httpmw.Wait(0)},
		"LOCK_WAIT_TIMEOUT":   {httpmw.MaxBuffered(4), httpmw.WaitUnread(), httpmw.Wait(time.Second)},
		"LOCK_BODY_TOO_LARGE": {httpmw.MaxBuffered(4), httpmw.RequireBuffered()},
	} {
		eachSlow(t, func(t *testing.T, protocol string, length int64) {
			inSlowBubble(t, protocol, ok, opts, func(b *slowBubble) {
				defer b.fake.Hold(key42)()
				status, text, err := b.post(b.half(), length)
				if status < 400 || !strings.Contains(text, name) || err != nil {
					t.Errorf("%d %s %v, want %s", status, text, err, name)
				}
				if took := time.Since(b.start); took > httpmw.DefaultClientTimeout+time.Second {
					t.Errorf("%s: after %v", name, took)
				}
			})
		})
	}
}

// drip gives a byte each time its pause is over.
type drip struct {
	pause time.Duration
	left  int
}

func (d *drip) Read(b []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	d.left--
	time.Sleep(d.pause)
	b[0] = 'x'
	return 1, nil
}

func TestAClientThatIsSteadyMayTakeItsTime(t *testing.T) {
	const pause, bytes = httpmw.DefaultClientTimeout - time.Second, 6
	for _, opts := range [][]httpmw.Option{nil, {httpmw.MaxBuffered(2)}, {httpmw.Unbuffered()}} {
		eachSlow(t, func(t *testing.T, protocol string, length int64) {
			count := func(w http.ResponseWriter, r *http.Request) {
				n, err := io.Copy(io.Discard, r.Body)
				_, _ = fmt.Fprint(w, n, err)
			}
			inSlowBubble(t, protocol, count, opts, func(b *slowBubble) {
				if length > 0 {
					length = bytes
				}
				status, text, err := b.post(&drip{pause, bytes}, length)
				equal(t, "the answer", fmt.Sprint(status, text, err), "2006 <nil><nil>")
			})
		})
	}
	for protocol := range bubbleProtocols {
		write := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 5<<20)) }
		inSlowBubble(t, protocol, write, nil, func(b *slowBubble) {
			resp, err := b.client.RoundTrip(must(http.NewRequest(http.MethodPost, "http://h/orders/42", nil)))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			var n int64
			for err == nil {
				var m int64
				m, err = io.CopyN(io.Discard, resp.Body, 64<<10)
				n += m
				time.Sleep(pause)
			}
			if n != 5<<20 || err != io.EOF {
				t.Errorf("%s: it took %d bytes, %v", protocol, n, err)
			}
		})
	}
}

// A stream of events, and a handler that works.
func TestAHandlerMayBeSilent(t *testing.T) {
	for name, silent := range map[string]func(http.ResponseWriter, *http.Request){
		"between two events": func(w http.ResponseWriter, _ *http.Request) {
			for range 3 {
				ok(w, nil)
				w.(http.Flusher).Flush()
				time.Sleep(time.Minute)
			}
		},
		"in its source": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, &drip{time.Minute, 6}) },
		"before it reads": func(w http.ResponseWriter, r *http.Request) {
			for range 3 {
				_, _ = r.Body.Read(make([]byte, 2))
				time.Sleep(time.Minute)
			}
			_, err := io.Copy(io.Discard, r.Body)
			_, _ = fmt.Fprintf(w, "%v\n", err)
		},
	} {
		for _, opts := range [][]httpmw.Option{nil, {httpmw.Unbuffered()}} {
			eachSlow(t, func(t *testing.T, protocol string, length int64) {
				inSlowBubble(t, protocol, silent, opts, func(b *slowBubble) {
					status, text, err := b.post(io.MultiReader(strings.NewReader("0123456789")), length)
					if status != http.StatusOK || len(text) != 6 || err != nil {
						t.Errorf("%s: %d, %q, %v", name, status, text, err)
					}
				})
			})
		}
	}
}

// The server's ReadTimeout stays what it is: neither longer nor shorter.
func TestWithoutALockAClientMayTakeItsTime(t *testing.T) {
	opts := []httpmw.Option{httpmw.OnBackendError(core.FailOpen), httpmw.ClientTimeout(time.Second), httpmw.Unbuffered()}
	eachSlow(t, func(t *testing.T, protocol string, length int64) {
		read := func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			_, held := core.FromContext(r.Context())
			_, _ = fmt.Fprint(w, n, err, held)
		}
		inSlowBubble(t, protocol, read, opts, func(b *slowBubble) {
			b.fake.FailBackend(core.ErrBackend)
			status, text, err := b.post(&drip{3 * time.Second, 10}, length)
			equal(t, "answer", fmt.Sprintf("%d %s %v", status, text, err), "200 10 <nil> false <nil>")
		})
	})
}

func TestTheReadTimeoutIsNotProlonged(t *testing.T) {
	const timeout = 25 * time.Second
	for name, opts := range map[string][]httpmw.Option{"before the lock": nil, "under it": {httpmw.Unbuffered()}} {
		eachSlow(t, func(t *testing.T, protocol string, length int64) {
			read := func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
			inSlowBubble(t, protocol, read, opts, func(b *slowBubble) {
				b.server.ReadTimeout = timeout
				if length > 0 {
					length = 100
				}
				status, _, _ := b.post(&drip{3 * time.Second, 100}, length)
				// Whose timeout it was, the handler is free to ignore.
				if want := map[bool]int{true: 408, false: 200}[opts == nil]; status != want {
					t.Errorf("%s: %d, want %d", name, status, want)
				}
				// The HTTP/2 client returns when its body's next byte is read.
				if took := time.Since(b.start); took < timeout || took >= timeout+3*time.Second {
					t.Errorf("%s: after %v, want %v", name, took, timeout)
				}
			})
		})
	}
}

func TestTheDeadlineOfARequestEndsItsBody(t *testing.T) {
	for _, tmpl := range []string{template, "order:{json./id}"} {
		eachSlow(t, func(t *testing.T, protocol string, length int64) {
			inSlowBubble(t, protocol, ok, nil, func(b *slowBubble) {
				lock := mustNew(t, b.fake, httpmw.Key(tmpl))
				inner := orders(lock(http.HandlerFunc(ok)))
				b.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					ctx, cancel := context.WithTimeout(r.Context(), time.Second)
					defer cancel()
					inner.ServeHTTP(w, r.WithContext(ctx))
				})
				status, text, err := b.post(b.half(), length)
				if status != http.StatusGatewayTimeout || !strings.Contains(text, "LOCK_DEADLINE_EXCEEDED") || err != nil {
					t.Errorf("%d %q %v", status, text, err)
				}
				equal(t, "after", time.Since(b.start), time.Second)
			})
		})
	}
}
