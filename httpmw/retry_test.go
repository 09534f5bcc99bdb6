package httpmw_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// denial is how a server answers r with reason.
func denial(r *http.Request, reason core.Reason, hint time.Duration) *http.Response {
	w := httptest.NewRecorder()
	httpmw.WriteDenial(w, r, &core.Denial{Reason: reason, RetryAfter: hint})
	return w.Result()
}

// server is a real one, whose connections are counted, with order 42 held. The
// holder lets go when a request is denied for the nth time.
type server struct {
	*httptest.Server
	conns atomic.Int32
	ids   []string // of the attempts
}

func startHeld(t *testing.T, http2 bool, denials int) *server {
	t.Helper()
	fake := locktest.New()
	release := fake.Hold(key42, core.TTL(core.MinTTL)) // hints of at most 10 ms
	s := &server{}
	denied := 0
	lock := mustNew(t, fake, httpmw.Key(template), httpmw.Wait(0), httpmw.OnDeny(
		func(http.ResponseWriter, *http.Request, *core.Denial) {
			if denied++; denied == denials {
				release()
			}
		}))
	h := orders(lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })))
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ids = append(s.ids, r.Header.Get("X-Request-ID"))
		h.ServeHTTP(w, r)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	s.EnableHTTP2 = http2
	if http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func TestADeniedRequestIsSentAgainWithItsIDAndBodyOverTheSameConnection(t *testing.T) {
	for protocol, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		t.Run(protocol, func(t *testing.T) {
			s := startHeld(t, http2, 3)
			var told []httpmw.Retry
			client := &http.Client{Transport: mustTransport(t, s.Client().Transport, httpmw.RetryHeld(3),
				httpmw.OnRetry(func(r *http.Request, retry httpmw.Retry) {
					equal(t, "path told", r.URL.Path, "/orders/42")
					told = append(told, retry)
				}))}
			resp, err := client.Post(s.URL+"/orders/42", "text/plain", strings.NewReader("two of them"))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			equal(t, "status", resp.StatusCode, http.StatusOK)
			equal(t, "echo", string(body), "two of them")
			equal(t, "protocol", resp.ProtoMajor, map[bool]int{false: 1, true: 2}[http2])
			equal(t, "attempts", len(s.ids), 4)
			equal(t, "different request IDs", len(slices.Compact(slices.Clone(s.ids))), 1)
			equal(t, "connections", s.conns.Load(), 1)
			equal(t, "retries told", len(told), 3)
			for i, retry := range told {
				wait := retry.Wait
				if wait <= 0 || wait > 500*time.Millisecond {
					t.Errorf("retry %d: a wait of %v", i, wait)
				}
				retry.Wait = 0
				equal(t, "retry", retry, httpmw.Retry{
					Attempt: i + 1, Reason: core.ReasonHeld, Status: http.StatusConflict, RequestID: s.ids[0],
				})
			}
		})
	}
}

func TestAfterTheLastAttemptTheClientGetsTheDenial(t *testing.T) {
	s := startHeld(t, false, 0)
	client := &http.Client{Transport: mustTransport(t, s.Client().Transport, httpmw.RetryHeld(2))}
	resp, err := client.Post(s.URL+"/orders/42", "text/plain", strings.NewReader("two of them"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	equal(t, "attempts", len(s.ids), 3)
	equal(t, "status", resp.StatusCode, http.StatusConflict)
	equal(t, "length", resp.ContentLength, int64(len(body)))
	equal(t, "reason", reason(t, string(body)), core.ReasonHeld)
}

// By its status a denial cannot be told from others, nor does it have one only:
// a server may answer contention with 503 or 423.
func TestOnlyRequestsWhoseHandlerNeverRanAreSentAgain(t *testing.T) {
	again := []core.Reason{
		core.ReasonHeld, core.ReasonWaitTimeout, core.ReasonQueueFull, core.ReasonBackend, core.ReasonShuttingDown,
	}
	for _, reason := range []core.Reason{
		core.ReasonHeld, core.ReasonWaitTimeout, core.ReasonQueueFull, core.ReasonBackend, core.ReasonShuttingDown,
		core.ReasonDeadline, core.ReasonKeyMissing, core.ReasonKeyInvalid, core.ReasonSelfDeadlock,
		core.ReasonLost, core.ReasonStale, core.ReasonInternal, "LOCK_OF_TOMORROW",
	} {
		for _, status := range []int{0, http.StatusServiceUnavailable, http.StatusLocked} {
			t.Run(fmt.Sprint(reason, " ", status), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					sent := 0
					base := roundTrip(func(r *http.Request) (*http.Response, error) {
						sent++
						resp := denial(r, reason, time.Second)
						if status != 0 {
							resp.StatusCode = status
						}
						return resp, nil
					})
					tr := mustTransport(t, base, httpmw.RetryHeld(1))
					if _, err := tr.RoundTrip(newRequest(t, "http://h", nil)); err != nil {
						t.Fatal(err)
					}
					want := 1
					if slices.Contains(again, reason) {
						want = 2
					}
					equal(t, "attempts", sent, want)
				})
			})
		}
	}
}

func TestAnAnswerToHEADHasNoReasonAndIsFinal(t *testing.T) {
	sent := 0
	base := roundTrip(func(r *http.Request) (*http.Response, error) {
		sent++
		return denial(r, core.ReasonHeld, time.Millisecond), nil
	})
	r := newRequest(t, "http://h", nil)
	r.Method = http.MethodHead
	resp, err := mustTransport(t, base, httpmw.RetryHeld(1)).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "status", resp.StatusCode, http.StatusConflict)
	equal(t, "attempts", sent, 1)
}

// closing is a body that counts how often it is closed.
type closing struct {
	io.Reader
	closed *int
}

func (c closing) Close() error { *c.closed++; return nil }

func TestABodyThatCannotBeSentTwiceIsSentOnce(t *testing.T) {
	for name, getBody := range map[string]func() (io.ReadCloser, error){
		"without GetBody":       nil,
		"whose GetBody refuses": func() (io.ReadCloser, error) { return nil, errors.New("the file is gone") },
	} {
		t.Run(name, func(t *testing.T) {
			sent, closed := 0, 0
			base := roundTrip(func(r *http.Request) (*http.Response, error) {
				sent++
				_ = r.Body.Close()
				return denial(r, core.ReasonHeld, time.Millisecond), nil
			})
			r := newRequest(t, "http://h", closing{strings.NewReader("two"), &closed})
			r.GetBody = getBody
			resp, err := mustTransport(t, base, httpmw.RetryHeld(3)).RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "attempts", sent, 1)
			equal(t, "times the body was closed", closed, 1)
			equal(t, "reason", reason(t, string(body)), core.ReasonHeld)
		})
	}
}

func TestEveryBodyOfARequestIsClosed(t *testing.T) {
	for name, row := range map[string]struct {
		deadline     time.Duration
		opened, sent int
		err          error
	}{
		"sent to the end":           {time.Hour, 4, 4, nil},
		"cancelled during the wait": {0, 2, 1, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				opened, sent, closed := 1, 0, 0
				body := func() (io.ReadCloser, error) {
					opened++
					return closing{strings.NewReader("two"), &closed}, nil
				}
				base := within(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					sent++
					text, err := io.ReadAll(r.Body)
					if err != nil || string(text) != "two" {
						t.Errorf("attempt %d has the body %q, %v", sent, text, err)
					}
					httpmw.WriteDenial(w, r, &core.Denial{Reason: core.ReasonHeld, RetryAfter: time.Second})
				}))
				r := newRequest(t, "http://h", closing{strings.NewReader("two"), &closed})
				r.GetBody = body
				ctx, cancel := context.WithCancel(r.Context())
				defer cancel()
				if row.err != nil {
					time.AfterFunc(time.Second/2, cancel)
				}
				_, err := mustTransport(t, base, httpmw.RetryHeld(3)).RoundTrip(r.WithContext(ctx))
				equal(t, "error", err, row.err)
				equal(t, "attempts", sent, row.sent)
				equal(t, "bodies opened", opened, row.opened)
				equal(t, "bodies closed", closed, row.opened)
			})
		})
	}
}

// Whoever is denied under one lock and told the same comes back at a time of
// its own, and nobody is lost.
func TestACrowdGetsThroughOneAfterTheOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const clients, work = 50, 20 * time.Millisecond
		lock := mustNew(t, locktest.New(), httpmw.Key(template), httpmw.Wait(0), httpmw.TTL(100*time.Millisecond))
		var inside, served atomic.Int32
		base := within(orders(lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if inside.Add(1) != 1 {
				t.Error("two at once")
			}
			time.Sleep(work) // on the bubble's clock
			inside.Add(-1)
			served.Add(1)
			ok(w, r)
		}))))
		tr := mustTransport(t, base, httpmw.RetryHeld(1000))
		var group sync.WaitGroup
		for range clients {
			group.Go(func() {
				resp, err := tr.RoundTrip(newRequest(t, "http://h", bytes.NewReader([]byte("two"))))
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("answered %v, %v", resp, err)
				}
			})
		}
		group.Wait()
		equal(t, "served", served.Load(), clients)
		time.Sleep(time.Hour) // lets the fake's timers run out
	})
}
