package httpmw_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/httpmw"
	"github.com/latchkey-go/latchkey/internal/stresstest"
)

var (
	stressSeed     = flag.Uint64("stress.seed", 0, "seed of the stress test; 0 for a random one")
	stressRequests = flag.Int("stress.requests", 4000, "requests of the stress test")
)

const (
	stressClients = 200
	stressKeys    = 40
	stressHold    = 100 * time.Millisecond // MaxHold
)

// TestNothingIsHeldWhateverClientsAndHandlersDo has clients go away, deadlines
// pass, handlers panic and overstay, and bodies arrive by half, at random, over
// HTTP/1.1 and HTTP/2 and on a real Redis. No two handlers may run with one key,
// every answer is in the table, and at the end nothing is held and no goroutine is
// left.
func TestNothingIsHeldWhateverClientsAndHandlersDo(t *testing.T) {
	seed := *stressSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-stress.seed %d -stress.requests %d", seed, *stressRequests)
	ground := stresstest.Start(t)
	s := newStress(t, ground.Locker)
	s.run(seed)
	s.server.Close()
	s.http1.CloseIdleConnections()
	s.http2.CloseIdleConnections()
	ground.WantNothingLeft()
	s.report()
}

type stress struct {
	t            *testing.T
	server       *httptest.Server
	http1, http2 *http.Client
	inside       [stressKeys]atomic.Int32
	ran          atomic.Int64
	seen         stresstest.Tally // answers, and what else became of requests
}

// stressRoutes are as different as routes are in what they let a request wait.
var stressRoutes = map[string][]httpmw.Option{
	"none":  {httpmw.Wait(0)},
	"short": {httpmw.Wait(50 * time.Millisecond), httpmw.MaxWaiters(2)},
	"long":  {httpmw.Wait(patience), httpmw.MaxWaiters(stressClients)},
}

func newStress(t *testing.T, locker core.Locker) *stress {
	s := &stress{t: t}
	mux := http.NewServeMux()
	for name, opts := range stressRoutes {
		opts = append(opts, httpmw.MaxHold(stressHold), httpmw.OnHijack(httpmw.Detach), httpmw.Name("stress"))
		lock := mustNew(t, locker, httpmw.Key("key:{path.key}"), opts...)
		mux.Handle("/"+name+"/{key}", lock(http.HandlerFunc(s.handle)))
	}
	deadlines := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d, err := time.ParseDuration(r.Header.Get("X-Deadline")); err == nil {
			ctx, cancel := context.WithTimeout(r.Context(), d)
			defer cancel()
			r = r.WithContext(ctx)
		}
		mux.ServeHTTP(w, r)
	})
	s.server = serveBoth(t, deadlines, false, &lines{})
	s.http1 = clientOf(t, s.server, protocols["HTTP/1.1"].set)
	s.http2 = clientOf(t, s.server, protocols["HTTP/2 in the clear"].set)
	return s
}

// handle does what its client has asked for, alone.
func (s *stress) handle(w http.ResponseWriter, r *http.Request) {
	s.ran.Add(1)
	key, err := strconv.Atoi(r.PathValue("key"))
	if err != nil {
		s.t.Error(err)
		return
	}
	if n := s.inside[key].Add(1); n != 1 {
		s.t.Errorf("%d handlers run with key %d", n, key)
	}
	leave := sync.OnceFunc(func() { s.inside[key].Add(-1) })
	defer leave()
	work(r.Context(), rand.N(2*time.Millisecond))
	switch r.Header.Get("X-Do") {
	case "panic":
		panic("asked for")
	case "abort":
		panic(http.ErrAbortHandler)
	case "overstay":
		<-r.Context().Done()
		return // without an answer
	case "flush":
		_, _ = io.WriteString(w, "o")
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, "k")
		return
	case "hijack":
		leave() // before the lock is
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
			return
		}
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	ok(w, r)
}

// work takes time, unless ctx ends.
func work(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

func (s *stress) run(seed uint64) {
	var clients sync.WaitGroup
	var sent atomic.Int64
	for i := range stressClients {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for sent.Add(1) <= int64(*stressRequests) {
				s.request(random)
			}
		})
	}
	clients.Wait()
}

// request is one client, with one of the ends that it may take.
func (s *stress) request(random *rand.Rand) {
	route := []string{"none", "short", "long"}[random.IntN(3)]
	path := fmt.Sprintf("/%s/%d", route, random.IntN(stressKeys))
	pause := time.Duration(random.Int64N(int64(20 * time.Millisecond)))
	body := strings.Repeat("x", random.IntN(3)*random.IntN(100))
	switch random.IntN(10) {
	case 0:
		s.breakOff(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", path, len(body)+10, body), pause)
		s.seen.Count("half a body")
	case 1:
		s.breakOff(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n20\r\nhalf of it", path), pause)
		s.seen.Count("half a chunk")
	case 2:
		s.breakOff(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body), pause)
		s.seen.Count("disconnected")
	case 3:
		ctx, cancel := context.WithTimeout(s.t.Context(), pause)
		defer cancel()
		s.send(ctx, random, path, body, "", "")
	case 4:
		s.send(s.t.Context(), random, path, body, "X-Deadline", pause.String())
	case 5:
		do := []string{"panic", "abort", "hijack"}[random.IntN(3)]
		s.send(s.t.Context(), random, path, body, "X-Do", do)
	case 6:
		s.send(s.t.Context(), random, path, body, "X-Do", []string{"overstay", "flush"}[random.IntN(2)])
	default:
		s.send(s.t.Context(), random, path, body, "", "")
	}
}

// breakOff sends bytes and goes away after a while.
func (s *stress) breakOff(bytes string, after time.Duration) {
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		s.t.Error(err)
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, bytes)
	work(s.t.Context(), after)
}

// send is a client that takes an answer, over either protocol.
func (s *stress) send(ctx context.Context, random *rand.Rand, path, body, name, value string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.server.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return
	}
	if name != "" {
		r.Header.Set(name, value)
	}
	client := s.http1
	if random.IntN(2) == 0 {
		client = s.http2
	}
	resp, err := client.Do(r)
	if err == nil {
		defer resp.Body.Close()
		var text []byte
		if text, err = io.ReadAll(resp.Body); err == nil {
			s.judge(resp, string(text))
			return
		}
	}
	switch {
	case ctx.Err() != nil:
		s.seen.Count("given up by the client")
	case name != "": // a deadline or a panic
		s.seen.Count("no answer: " + name)
	default:
		s.t.Errorf("no answer to an ordinary request: %v", err)
	}
}

// stressAnswers are the rows of the table that may come, and whether they say when
// to try again. A Redis that lives is "unavailable" to a request whose wait was over
// before it got any answer, as on a machine with too much to do.
var stressAnswers = map[string]bool{
	"409 LOCK_HELD": true, "409 LOCK_WAIT_TIMEOUT": true, "429 LOCK_QUEUE_FULL": true,
	"503 LOCK_BACKEND_UNAVAILABLE": true, "504 LOCK_DEADLINE_EXCEEDED": false, "500 LOCK_LOST": false,
}

// judge tells whether an answer is one that may come.
func (s *stress) judge(resp *http.Response, text string) {
	if resp.StatusCode == http.StatusOK && text == "ok" {
		s.seen.Count("200")
		return
	}
	var d details
	err := json.Unmarshal([]byte(text), &d)
	answer := fmt.Sprint(resp.StatusCode, " ", d.Reason)
	retry, known := stressAnswers[answer]
	if err != nil || !known || resp.Header.Get("Content-Type") != "application/problem+json" ||
		(resp.Header.Get("Retry-After") != "") != retry || d.Instance == "" {
		s.t.Errorf("not in the table: %d %v %q", resp.StatusCode, resp.Header, text)
	}
	s.seen.Count(answer)
}

// report tells what was seen.
func (s *stress) report() {
	s.t.Logf("%d handlers ran", s.ran.Load())
	s.seen.Report(s.t,
		"200", "409 LOCK_HELD", "409 LOCK_WAIT_TIMEOUT", "429 LOCK_QUEUE_FULL", "504 LOCK_DEADLINE_EXCEEDED", "500 LOCK_LOST",
		"disconnected", "half a body", "half a chunk", "given up by the client", "no answer: X-Do")
}
