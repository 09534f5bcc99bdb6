package httpmw_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

var protocols = map[string]struct {
	tls bool
	set func(*http.Protocols)
}{
	"HTTP/1.1":            {false, func(p *http.Protocols) { p.SetHTTP1(true) }},
	"HTTP/2 with TLS":     {true, func(p *http.Protocols) { p.SetHTTP2(true) }},
	"HTTP/2 in the clear": {false, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }},
}

// stream is a locked route that is called over one protocol.
type stream struct {
	fake   *locktest.Fake
	server *httptest.Server
	logged *lines
	client *http.Client
	ctx    context.Context
	cancel context.CancelFunc // the client goes away
}

// overEachProtocol runs test with a route for each protocol, and then tells
// whether its lock is free.
func overEachProtocol(t *testing.T, h func(*locktest.Fake) http.HandlerFunc, test func(*testing.T, *stream), opts ...httpmw.Option) {
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			s := &stream{fake: locktest.New(), logged: &lines{}}
			lock := mustNew(t, s.fake, httpmw.Key(template), opts...)
			s.server = serveBoth(t, orders(lock(h(s.fake))), protocol.tls, s.logged)
			s.client = clientOf(t, s.server, protocol.set)
			s.ctx, s.cancel = context.WithCancel(soon(t))
			defer s.cancel()
			test(t, s)
			if err := s.fake.AwaitFree(soon(t), key42); err != nil {
				t.Errorf("the lock was not released: %v", err)
			}
		})
	}
}

// open sends a request and returns its response, once there is one.
func (s *stream) open(t *testing.T, body io.Reader) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(s.ctx, http.MethodPost, s.server.URL+"/orders/42", body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client.Do(r)
	if err == nil {
		t.Cleanup(func() { _ = resp.Body.Close() })
	}
	return resp, err
}

func TestServerSentEventsArriveWhileTheLockIsHeld(t *testing.T) {
	events := func(*locktest.Fake) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: 1\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}
	overEachProtocol(t, events, func(t *testing.T, s *stream) {
		resp, err := s.open(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(resp.Body).ReadString('\n')
		if err != nil || line != "data: 1\n" || !s.fake.Held(key42) {
			t.Errorf("line %q, %v; held %v", line, err, s.fake.Held(key42))
		}
		s.cancel()
	})
}

// The form of a WebSocket over HTTP/2 (RFC 8441), too: a body in each direction,
// at the same time, and nothing to hijack.
func TestARequestAndItsResponseAreStreamedAtTheSameTime(t *testing.T) {
	echo := func(*locktest.Fake) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			if err := c.EnableFullDuplex(); err != nil && r.ProtoMajor == 1 {
				t.Error(err)
			}
			w.WriteHeader(http.StatusOK)
			if err := c.Flush(); err != nil {
				t.Error(err)
			}
			lines := bufio.NewScanner(r.Body)
			for lines.Scan() {
				_, _ = io.WriteString(w, "echo: "+lines.Text()+"\n")
				if err := c.Flush(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	overEachProtocol(t, echo, func(t *testing.T, s *stream) {
		body, send := io.Pipe()
		resp, err := s.open(t, body)
		if err != nil {
			t.Fatal(err)
		}
		answers := bufio.NewReader(resp.Body)
		for _, line := range []string{"one\n", "two\n", "three\n"} {
			if _, err := io.WriteString(send, line); err != nil {
				t.Fatal(err)
			}
			got, err := answers.ReadString('\n')
			if err != nil || got != "echo: "+line || !s.fake.Held(key42) {
				t.Errorf("%q, %v; held %v", got, err, s.fake.Held(key42))
			}
		}
		_ = send.Close()
		if rest, err := io.ReadAll(answers); len(rest) > 0 || err != nil {
			t.Errorf("the rest: %q, %v", rest, err)
		}
	}, httpmw.Unbuffered())
}

func TestAReadDeadlineOfTheHandlersEndsItsBody(t *testing.T) {
	read := func(*locktest.Fake) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(-1)); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadAll(r.Body); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the body ended with %v", err)
			}
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusRequestTimeout)
		}
	}
	overEachProtocol(t, read, func(t *testing.T, s *stream) {
		body, send := io.Pipe()
		defer send.Close()
		if resp, err := s.open(t, body); err != nil || resp.StatusCode != http.StatusRequestTimeout {
			t.Errorf("%v, %v", resp, err)
		}
	}, httpmw.Unbuffered())
}

func TestAWriteDeadlineOfTheHandlersEndsItsAnswer(t *testing.T) {
	write := func(*locktest.Fake) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			if err := c.SetWriteDeadline(time.Now().Add(-1)); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
		}
	}
	overEachProtocol(t, write, func(t *testing.T, s *stream) {
		resp, err := s.open(t, nil)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
		}
		if err == nil {
			t.Error("the client has got all of it")
		}
	})
}

func TestAPanicAfterTheAnswerHasBegunCutsItOff(t *testing.T) {
	for name, row := range map[string]struct {
		value  any
		logged bool
	}{"ErrAbortHandler": {http.ErrAbortHandler, false}, "a bug": {"a bug", true}} {
		t.Run(name, func(t *testing.T) {
			begin := func(*locktest.Fake) http.HandlerFunc {
				return func(w http.ResponseWriter, _ *http.Request) {
					_, _ = io.WriteString(w, "a half")
					w.(http.Flusher).Flush()
					panic(row.value)
				}
			}
			overEachProtocol(t, begin, func(t *testing.T, s *stream) {
				resp, err := s.open(t, nil)
				if err != nil {
					t.Fatal(err)
				}
				if all, err := io.ReadAll(resp.Body); err == nil {
					t.Errorf("%q was taken for all of it", all)
				}
				s.server.Close()
				if !row.logged {
					equal(t, "log", s.logged.String(), "")
				} else if !s.logged.await(t, "a bug") {
					t.Errorf("logged: %q", s.logged)
				}
			})
		})
	}
}

func TestHTTP2HasNothingToHijackAndNo101(t *testing.T) {
	upgrade := func(*locktest.Fake) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if _, is := w.(http.Hijacker); is != (r.ProtoMajor == 1) {
				t.Errorf("%s: a Hijacker: %v", r.Proto, is)
			}
			if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, http.ErrNotSupported) {
				t.Errorf("Hijack: %v", err)
			}
			w.WriteHeader(http.StatusSwitchingProtocols)
		}
	}
	overEachProtocol(t, upgrade, func(t *testing.T, s *stream) {
		if resp, err := s.open(t, nil); err != nil || resp.StatusCode != http.StatusNotImplemented {
			t.Errorf("%v, %v", resp, err)
		}
	})
}
