package httpmw_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/httpmw"
)

// pattern, template and key42 belong together: key42 is the key of a request
// for order 42.
const (
	pattern  = "/orders/{id}"
	template = "order:{path.id}"
	key42    = "order:42"
)

// patience is for what is certain to happen.
const patience = 30 * time.Second

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func mustNew(t testing.TB, l core.Locker, key httpmw.KeySource, opts ...httpmw.Option) func(http.Handler) http.Handler {
	t.Helper()
	lock, err := httpmw.New(l, key, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

// orders serves h on the one route of these tests.
func orders(h http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle(pattern, h)
	return mux
}

func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

// dial opens a connection to s and writes request, in which \n ends a line.
func dial(t *testing.T, s *httptest.Server, request string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	return conn
}

var dateLine = regexp.MustCompile(`(?i)\bdate: .*\n`)

// exchange returns, byte for byte but for the Date header and with \n for
// \r\n, what s answers on the wire; "" if it closes the connection.
func exchange(t *testing.T, s *httptest.Server, request string) string {
	t.Helper()
	var raw bytes.Buffer
	conn := dial(t, s, request)
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &raw)), &http.Request{Method: method})
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	if err != nil && raw.Len() > 0 {
		t.Fatalf("malformed answer: %v\n%s", err, &raw)
	}
	return dateLine.ReplaceAllString(strings.ReplaceAll(raw.String(), "\r\n", "\n"), "")
}

// put sends a request for order id and returns the status and the body.
func put(t *testing.T, s *httptest.Server, path string) (int, string) {
	t.Helper()
	status, body, err := send(s, http.MethodPut, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return status, body
}

func send(s *httptest.Server, method, path string, body io.Reader) (int, string, error) {
	req, err := http.NewRequest(method, s.URL+path, body)
	if err != nil {
		return 0, "", err
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// failing is a Locker that fails.
type failing struct{ err error }

func (f failing) Acquire(_ context.Context, key string, _ ...core.AcquireOption) (core.Lock, error) {
	if ae, ok := f.err.(*core.AcquireError); ok {
		ae.Key = key
	}
	return nil, f.err
}

// receive returns what comes from c.
func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, fmt.Sprint(got), fmt.Sprint(want))
	}
}
