package httpmw_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

func TestAConnectionThatWasWaitedForServesTheNextRequest(t *testing.T) {
	for protocol := range bubbleProtocols {
		echo := func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			_, _ = io.Copy(w, r.Body)
		}
		inSlowBubble(t, protocol, echo, []httpmw.Option{httpmw.Unbuffered()}, func(b *slowBubble) {
			for range 3 {
				// It is over HTTP/1 that what is left is read before the header is sent.
				if status, _, err := b.post(strings.NewReader(strings.Repeat("x", 100_000)), 100_000); status != 200 || err != nil {
					t.Fatal(protocol, status, err)
				}
				time.Sleep(10 * httpmw.DefaultClientTimeout)
			}
			equal(t, "connections", b.dials.Load(), 1)
		})
	}
}

// What its client still sends must not be read as its next request.
func TestAFullDuplexConnectionEndsWithItsClientsTime(t *testing.T) {
	for _, begun := range []bool{false, true} {
		read := func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
				t.Error(err)
			}
			if begun {
				w.(http.Flusher).Flush()
			}
			_, err := io.Copy(io.Discard, r.Body)
			if !begun {
				_, _ = fmt.Fprint(w, errors.Is(err, os.ErrDeadlineExceeded))
			}
		}
		inSlowBubble(t, "HTTP/1", read, []httpmw.Option{httpmw.Unbuffered()}, func(b *slowBubble) {
			conn, err := b.dial(b.ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			answer := make(chan string, 1)
			go func() {
				all, _ := io.ReadAll(conn)
				answer <- string(all)
			}()
			_, _ = io.WriteString(conn, "POST /orders/42 HTTP/1.1\r\nHost: h\r\nContent-Length: 90\r\n\r\nhello")
			time.Sleep(httpmw.DefaultClientTimeout)
			synctest.Wait()
			_, err = io.WriteString(conn, "POST /orders/42 HTTP/1.1\r\nHost: h\r\n\r\n")
			text := <-answer
			if err == nil || strings.Count(text, "HTTP/1.1") != 1 || !begun && !strings.HasSuffix(text, "true") {
				t.Errorf("begun %v: the rest was taken (%v), the answer is %q", begun, err, text)
			}
		})
	}
}

func TestAnExpectedBodyIsAskedForBeforeTheLock(t *testing.T) {
	for _, opts := range [][]httpmw.Option{nil, {httpmw.Wait(0)}, {httpmw.Unbuffered()}} {
		lock := mustNew(t, locktest.New(), httpmw.Key(template), opts...)
		s := serve(t, orders(lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))))
		conn := dial(t, s, "POST /orders/42 HTTP/1.1\nHost: h\nExpect: 100-continue\nContent-Length: 4\n\n")
		answers := bufio.NewReader(conn)
		if resp, err := http.ReadResponse(answers, nil); err != nil || resp.StatusCode != http.StatusContinue {
			t.Fatal(resp, err)
		}
		_, _ = io.WriteString(conn, "body")
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		equal(t, "answer", fmt.Sprint(resp.StatusCode, string(text), err), "200body<nil>")
	}
}

func TestTrailersOfABodyArrive(t *testing.T) {
	for protocol := range bubbleProtocols {
		trailer := func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, r.Trailer.Get("X-Sum"))
		}
		for _, opts := range [][]httpmw.Option{nil, {httpmw.MaxBuffered(2)}} {
			inSlowBubble(t, protocol, trailer, opts, func(b *slowBubble) {
				r := must(http.NewRequest(http.MethodPost, "http://h/orders/42", io.MultiReader(strings.NewReader("body"))))
				r.Trailer = http.Header{"X-Sum": {"7"}}
				resp, err := b.client.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(resp.Body)
				equal(t, protocol, fmt.Sprint(string(text), err), "7<nil>")
			})
		}
	}
}

// copied is a ResponseWriter that tells what it is given to copy.
type copied struct {
	http.ResponseWriter
	file *atomic.Bool
}

func (c copied) ReadFrom(src io.Reader) (int64, error) {
	if l, is := src.(*io.LimitedReader); is {
		_, isFile := l.R.(interface{ Fd() uintptr })
		c.file.Store(isFile)
	}
	return io.Copy(c.ResponseWriter, src)
}

func TestAFileIsSentAsAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	text := bytes.Repeat([]byte("0123456789"), 20_000)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for size := range map[int64]bool{0: true, 1: true, 32 << 10: true, 64<<10 - 1: true, 100_000: true, 200_000: true, 1 << 30: true} {
		for _, limit := range []time.Duration{0, httpmw.DefaultClientTimeout} {
			var file atomic.Bool
			var sent int64
			lock := mustNew(t, locktest.New(), httpmw.Key(template), httpmw.ClientTimeout(limit))
			h := lock(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				f, err := os.Open(name)
				if err != nil {
					t.Error(err)
					return
				}
				defer f.Close()
				if sent, err = io.CopyN(w, f, size); err != nil && size <= int64(len(text)) {
					t.Error(err)
				}
			}))
			s := serve(t, orders(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(copied{w, &file}, r) })))
			_, got := put(t, s, "/orders/42")
			want := text[:min(size, int64(len(text)))]
			if got != string(want) || sent != int64(len(want)) || !file.Load() && size > 0 {
				t.Errorf("limit %v: %d bytes of %d, %d told; a file: %v", limit, len(got), len(want), sent, file.Load())
			}
		}
	}
}

func TestClientTimeoutAndUnbufferedAreChecked(t *testing.T) {
	for name, err := range map[string]error{
		"negative":        errOf(httpmw.New(locktest.New(), httpmw.Key(template), httpmw.ClientTimeout(-1))),
		"both":            errOf(httpmw.New(locktest.New(), httpmw.Key(template), httpmw.Unbuffered(), httpmw.RequireBuffered())),
		"key in the body": errOf(httpmw.New(locktest.New(), httpmw.Key("order:{json./id}"), httpmw.Unbuffered())),
	} {
		if !errors.Is(err, core.ErrOption) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func errOf[T any](_ T, err error) error { return err }
