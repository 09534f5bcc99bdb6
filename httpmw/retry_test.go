package httpmw_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// scripted is a base that answers every request alike. Like every base it closes
// the request's body.
type scripted struct {
	answer func(*http.Request) (*http.Response, error)
	sent   []time.Time
}

func (s *scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	s.sent = append(s.sent, time.Now())
	if r.Body != nil {
		defer func() { _ = r.Body.Close() }()
	}
	return s.answer(r)
}

// denying is a base whose server denies every request.
func denying(reason core.Reason, hint time.Duration) *scripted {
	return &scripted{answer: func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		httpmw.WriteDenial(w, r, &core.Denial{Reason: reason, RetryAfter: hint})
		return w.Result(), nil
	}}
}

// closing is a body that counts how often it is closed.
type closing struct {
	io.Reader
	closed *int
}

func (c closing) Close() error { *c.closed++; return nil }

// heldServer has order 42 held until the nth request for it is denied; 0 is for
// ever.
type heldServer struct {
	*httptest.Server
	conns atomic.Int32
	ids   []string // of the attempts
}

func startHeld(t *testing.T, http2 bool, denials int) *heldServer {
	t.Helper()
	fake := locktest.New()
	release := fake.Hold(key42, core.TTL(core.MinTTL)) // so hints are short
	denied := 0
	lock := mustNew(t, fake, httpmw.Key(template), httpmw.Wait(0), httpmw.OnDeny(
		func(http.ResponseWriter, *http.Request, *core.Denial) {
			if denied++; denied == denials {
				release()
			}
		}))
	h := orders(lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })))
	s := &heldServer{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ids = append(s.ids, r.Header.Get("X-Request-ID"))
		h.ServeHTTP(w, r)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	if s.EnableHTTP2 = http2; http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func TestADeniedRequestIsSentAgainWithItsIDAndBodyOverTheSameConnection(t *testing.T) {
	for name, row := range map[string]struct {
		http2   bool
		denials int // 0: all
		status  int
	}{
		"HTTP/1": {false, 3, http.StatusOK},
		"HTTP/2": {true, 3, http.StatusOK},
		"after the last attempt it gets the denial": {false, 0, http.StatusConflict},
	} {
		t.Run(name, func(t *testing.T) {
			s := startHeld(t, row.http2, row.denials)
			var told []httpmw.Retry
			client := &http.Client{Transport: mustTransport(t, s.Client().Transport, httpmw.RetryHeld(3),
				httpmw.OnRetry(func(r *http.Request, retry httpmw.Retry) {
					equal(t, "path told", r.URL.Path, "/orders/42")
					told = append(told, retry)
				}))}
			resp, err := client.Do(outbound(t, s.URL, strings.NewReader("two of them")))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			equal(t, "status", resp.StatusCode, row.status)
			equal(t, "over HTTP/2", resp.ProtoMajor == 2, row.http2)
			if row.status == http.StatusOK {
				equal(t, "echo", string(body), "two of them")
			} else {
				equal(t, "reason", reason(t, string(body)), core.ReasonHeld)
			}
			equal(t, "attempts", len(s.ids), 4)
			equal(t, "different request IDs", len(slices.Compact(s.ids)), 1)
			equal(t, "connections", s.conns.Load(), 1)
			equal(t, "retries told", len(told), 3)
			for i, retry := range told {
				if retry.Wait <= 0 {
					t.Errorf("retry %d: a wait of %v", i, retry.Wait)
				}
				retry.Wait = 0
				equal(t, "retry", retry, httpmw.Retry{
					Attempt: i + 1, Reason: core.ReasonHeld, Status: http.StatusConflict, RequestID: s.ids[0],
				})
			}
		})
	}
}

// By its status a denial cannot be told from another one: the server's preset
// chooses it.
func TestOnlyRequestsWhoseHandlerNeverRanAreSentAgain(t *testing.T) {
	for reason, attempts := range map[core.Reason]int{
		core.ReasonHeld: 2, core.ReasonWaitTimeout: 2, core.ReasonQueueFull: 2, core.ReasonBackend: 2, core.ReasonShuttingDown: 2,
		core.ReasonLost: 1, core.ReasonStale: 1, core.ReasonInternal: 1, "LOCK_OF_TOMORROW": 1,
		core.ReasonDeadline: 1, core.ReasonKeyMissing: 1, core.ReasonKeyInvalid: 1, core.ReasonSelfDeadlock: 1,
	} {
		t.Run(string(reason), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				base := denying(reason, time.Second)
				usual := base.answer
				base.answer = func(r *http.Request) (*http.Response, error) {
					resp, err := usual(r)
					resp.StatusCode = http.StatusServiceUnavailable
					return resp, err
				}
				if _, err := mustTransport(t, base, httpmw.RetryHeld(1)).RoundTrip(outbound(t, "http://h", nil)); err != nil {
					t.Fatal(err)
				}
				equal(t, "attempts", len(base.sent), attempts)
			})
		})
	}
}

func TestWhatCannotBeRepeatedIsSentOnceAndItsDenialIsWhole(t *testing.T) {
	again := httpmw.RetryHeld(3)
	for name, row := range map[string]struct {
		opt     httpmw.TransportOption
		request func(*http.Request)
	}{
		"without RetryHeld":      {nil, func(*http.Request) {}},
		"a body without GetBody": {again, func(r *http.Request) { r.GetBody = nil }},
		"a body whose GetBody fails": {again, func(r *http.Request) {
			r.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("the file is gone") }
		}},
		// No body in the answer, so no reason.
		"HEAD": {again, func(r *http.Request) { r.Method = http.MethodHead }},
	} {
		t.Run(name, func(t *testing.T) {
			base := denying(core.ReasonHeld, time.Millisecond)
			r := outbound(t, "http://h", strings.NewReader("two"))
			closed := 0
			r.Body = closing{r.Body, &closed}
			row.request(r)
			resp, err := mustTransport(t, base, row.opt).RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "attempts", len(base.sent), 1)
			equal(t, "times the body was closed", closed, 1)
			if r.Method != http.MethodHead {
				equal(t, "reason", reason(t, string(body)), core.ReasonHeld)
			}
		})
	}
}

func TestTheBasesErrorIsReturnedAndNothingSentAgain(t *testing.T) {
	broken := errors.New("connection reset")
	base := &scripted{answer: func(*http.Request) (*http.Response, error) { return nil, broken }}
	_, err := mustTransport(t, base, httpmw.RetryHeld(3)).RoundTrip(outbound(t, "http://h", nil))
	equal(t, "error", err, broken)
	equal(t, "attempts", len(base.sent), 1)
}

func TestEveryBodyOfARequestIsClosed(t *testing.T) {
	for name, row := range map[string]struct {
		cancel       time.Duration
		opened, sent int
		err          error
	}{
		"sent to the end":           {time.Hour, 4, 4, nil},
		"cancelled during the wait": {time.Second / 2, 2, 1, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				opened, closed := 0, 0
				open := func() (io.ReadCloser, error) {
					opened++
					return closing{strings.NewReader("two"), &closed}, nil
				}
				base := denying(core.ReasonHeld, time.Second)
				denial := base.answer
				base.answer = func(r *http.Request) (*http.Response, error) {
					if text, err := io.ReadAll(r.Body); err != nil || string(text) != "two" {
						t.Errorf("attempt %d has the body %q, %v", len(base.sent), text, err)
					}
					return denial(r)
				}
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(row.cancel, cancel)
				r := outbound(t, "http://h", nil).WithContext(ctx)
				r.Body, _ = open()
				r.GetBody = open
				_, err := mustTransport(t, base, httpmw.RetryHeld(3)).RoundTrip(r)
				cancel()
				equal(t, "error", err, row.err)
				equal(t, "attempts", len(base.sent), row.sent)
				equal(t, "bodies opened", opened, row.opened)
				equal(t, "bodies closed", closed, row.opened)
			})
		})
	}
}
