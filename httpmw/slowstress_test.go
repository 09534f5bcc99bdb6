package httpmw_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/httpmw"
	"github.com/latchkey-go/latchkey/internal/stresstest"
)

var slowRequests = flag.Int("slow.requests", 300, "requests with slow and broken bodies")

const (
	slowClients = 64
	slowKeys    = 20
	slowLimit   = 100 * time.Millisecond // ClientTimeout
	slowAhead   = 4 << 10                // MaxBuffered
	slowLongest = 16 << 10
)

// TestNothingIsHeldWhateverBodiesDo sends bodies that stop at a random byte, by
// silence or by the end of their connection, drip, or whose answer is not taken,
// over HTTP/1.1, chunked and HTTP/2, on a real Redis. A handler has five minutes
// (MaxHold), so that nothing but the ClientTimeout ends its wait for a client. At the
// end, nothing is held and no goroutine is left.
func TestNothingIsHeldWhateverBodiesDo(t *testing.T) {
	seed := *stressSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-stress.seed %d -slow.requests %d", seed, *slowRequests)
	ground := stresstest.Start(t)
	s := &slowStress{t: t}
	mux := http.NewServeMux()
	for name, opts := range map[string][]httpmw.Option{
		"none": {httpmw.Wait(0)}, "wait": {httpmw.Wait(patience)}, "unbuffered": {httpmw.Wait(patience), httpmw.Unbuffered()},
		"required": {httpmw.Wait(patience), httpmw.RequireBuffered()}, "unread": {httpmw.Wait(patience), httpmw.WaitUnread()},
	} {
		s.routes = append(s.routes, name)
		opts = append(opts, httpmw.ClientTimeout(slowLimit), httpmw.MaxBuffered(slowAhead), httpmw.MaxWaiters(slowClients), httpmw.Name("slow"))
		mux.Handle("/"+name+"/{key}", mustNew(t, ground.Locker, httpmw.Key("key:{path.key}"), opts...)(http.HandlerFunc(s.handle)))
	}
	s.server = serveBoth(t, mux, false, &lines{})
	s.http2 = clientOf(t, s.server, protocols["HTTP/2 in the clear"].set)
	start := time.Now()
	var clients sync.WaitGroup
	var sent atomic.Int64
	for i := range slowClients {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for sent.Add(1) <= int64(*slowRequests) {
				s.request(random)
			}
		})
	}
	clients.Wait()
	t.Logf("%d requests in %v; %d handlers ran", *slowRequests, time.Since(start).Round(time.Millisecond), s.ran.Load())
	s.http2.CloseIdleConnections()
	s.server.Close()
	ground.WantNothingLeft()
	s.seen.Report(t, "stopped", "broke off", "dripped", "not taken", "HTTP/1.1", "chunked", "HTTP/2", "200", "408")
}

type slowStress struct {
	t      *testing.T
	routes []string
	server *httptest.Server
	http2  *http.Client
	inside [slowKeys]atomic.Int32
	ran    atomic.Int64
	seen   stresstest.Tally
}

// handle reads the body and answers, with more than is buffered if it is asked to.
func (s *slowStress) handle(w http.ResponseWriter, r *http.Request) {
	s.ran.Add(1)
	var key int
	_, _ = fmt.Sscan(r.PathValue("key"), &key)
	if n := s.inside[key].Add(1); n != 1 {
		s.t.Errorf("%d handlers run with key %d", n, key)
	}
	defer s.inside[key].Add(-1)
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return // which is answered with 408 if it was slow
	}
	if r.Header.Get("X-Long") != "" {
		_, _ = w.Write(make([]byte, 8<<20))
	}
}

// slowBody is one of size bytes that stops, or breaks off, behind some of them.
type slowBody struct {
	ctx   context.Context
	left  int
	pause time.Duration // before each of its parts
	end   func() error  // what comes behind them
}

func (b *slowBody) Read(p []byte) (int, error) {
	work(b.ctx, b.pause)
	if b.left == 0 {
		return 0, b.end()
	}
	n := min(b.left, len(p), 2<<10)
	b.left -= n
	return copy(p, strings.Repeat("x", n)), nil
}

func (s *slowStress) request(random *rand.Rand) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	size := 1 + random.IntN(slowLongest)
	body := &slowBody{ctx: ctx, left: random.IntN(size)}
	path := fmt.Sprintf("/%s/%d", s.routes[random.IntN(len(s.routes))], random.IntN(slowKeys))
	how := []string{"stopped", "broke off", "dripped", "not taken"}[random.IntN(4)]
	s.seen.Count(how)
	switch how {
	case "stopped":
		body.end = func() error { <-ctx.Done(); return ctx.Err() }
	case "broke off":
		body.end = func() error { cancel(); return context.Canceled }
	case "dripped":
		body.left, body.pause = size, time.Duration(random.Int64N(int64(slowLimit/4)))
		body.end = func() error { return io.EOF }
	case "not taken":
		body.left = size
		body.end = func() error { return io.EOF }
	}
	protocol := []string{"HTTP/1.1", "chunked", "HTTP/2"}[random.IntN(3)]
	s.seen.Count(protocol)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.server.URL+path, body)
	if err != nil {
		s.t.Error(err)
		return
	}
	if protocol == "HTTP/1.1" || protocol == "HTTP/2" && random.IntN(2) == 0 {
		r.ContentLength = int64(size)
	}
	send := s.raw
	if protocol == "HTTP/2" {
		send = s.http2.Transport.RoundTrip
	}
	s.ask(r, how, send)
	// The answer's Close, of HTTP/2, waits for the body's.
	cancel()
}

// raw sends r over a connection of its own, which ends with r's context.
func (s *slowStress) raw(r *http.Request) (*http.Response, error) {
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		return nil, err
	}
	context.AfterFunc(r.Context(), func() { _ = conn.Close() })
	go func() { _ = r.Write(conn) }()
	return http.ReadResponse(bufio.NewReader(conn), r)
}

// ask sends r and takes its answer, or does not.
func (s *slowStress) ask(r *http.Request, how string, send func(*http.Request) (*http.Response, error)) {
	if how == "not taken" {
		r.Header.Set("X-Long", "1")
	}
	resp, err := send(r)
	if err != nil {
		s.seen.Count("no answer")
		return
	}
	context.AfterFunc(r.Context(), func() { _ = resp.Body.Close() })
	s.seen.Count(fmt.Sprint(resp.StatusCode))
	if how == "not taken" && resp.StatusCode == http.StatusOK {
		work(r.Context(), 2*slowLimit)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
}
