package httpmw_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// overhead compares a locked route with its bare handler and Redis by itself: one
// server, one client, one Redis. Each request has a key of its own, so nothing
// contends.
type overhead struct {
	tb      testing.TB
	locker  *core.RedisLocker
	rdb     *redis.Client
	url     string
	client  *http.Client
	acquire command
	release command
	next    int
}

// command is one that Latchkey has sent for the key of the first request.
type command struct{ args []any }

// do sends the same command for the key of request id, to Redis by itself.
func (c command) do(ctx context.Context, rdb *redis.Client, id string) error {
	args := make([]any, len(c.args))
	for i, arg := range c.args {
		if text, ok := arg.(string); ok {
			arg = strings.Replace(text, firstID, id, 1)
		}
		args[i] = arg
	}
	return rdb.Do(ctx, args...).Err()
}

// firstID is what no hash and no number of a command holds.
const firstID = "the-first-request"

// recorder keeps the scripts that are called for the first request.
type recorder struct {
	mu   sync.Mutex
	seen []command
}

func (r *recorder) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *recorder) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (r *recorder) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() == "evalsha" && strings.Contains(cmd.String(), firstID) {
			r.mu.Lock()
			r.seen = append(r.seen, command{cmd.Args()})
			r.mu.Unlock()
		}
		return err
	}
}

func newOverhead(tb testing.TB, opts ...httpmw.Option) *overhead {
	server := locktest.StartRedis(tb)
	o := &overhead{tb: tb, rdb: server.Client(&redis.Options{ContextTimeoutEnabled: true})}
	o.acquire, o.release = record(tb, server)
	var err error
	if o.locker, err = core.New(o.rdb); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = o.locker.Close() })
	mux := http.NewServeMux()
	mux.Handle("/locked/{id}", mustNew(tb, o.locker, httpmw.Key("{path.id}"), opts...)(http.HandlerFunc(ok)))
	mux.HandleFunc("/bare/{id}", ok)
	mux.HandleFunc("/trip/{id}", func(w http.ResponseWriter, r *http.Request) {
		if err := o.acquire.do(r.Context(), o.rdb, r.PathValue("id")); err != nil {
			tb.Error(err)
		}
		ok(w, r)
	})
	s := httptest.NewServer(mux)
	tb.Cleanup(s.Close)
	o.url, o.client = s.URL, s.Client()
	for range 200 { // connections, pools
		o.get("/locked/")
		o.get("/trip/")
	}
	return o
}

// record returns the commands of a lock that nobody contends for.
func record(tb testing.TB, server *locktest.Redis) (acquire, release command) {
	rdb := server.Client(nil)
	recorded := &recorder{}
	rdb.AddHook(recorded)
	locker, err := core.New(rdb)
	if err != nil {
		tb.Fatal(err)
	}
	lock, err := locker.Acquire(tb.Context(), "/locked/{id}%:"+firstID)
	if err != nil {
		tb.Fatal(err)
	}
	if err := errors.Join(lock.Release(tb.Context()), locker.Close()); err != nil {
		tb.Fatal(err)
	}
	if len(recorded.seen) != 2 {
		tb.Fatalf("an acquire and a release took %d commands", len(recorded.seen))
	}
	return recorded.seen[0], recorded.seen[1]
}

func (o *overhead) id() string {
	o.next++
	return strconv.Itoa(o.next)
}

// get has one request served.
func (o *overhead) get(route string) {
	resp, err := o.client.Get(o.url + route + o.id())
	if err != nil {
		o.tb.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

// settle returns when nothing is under way: the release of the last request must
// not be paid for by the next measurement.
func (o *overhead) settle() {
	for {
		found, err := o.locker.Inspect(o.tb.Context(), "/locked/{id}%:"+strconv.Itoa(o.next))
		if err != nil {
			o.tb.Fatal(err)
		}
		if found.Lease == nil {
			return
		}
	}
}

// BenchmarkOverhead measures in pairs, first the one and then the other, and
// reports the medians and their ratio: a locked request against one whose handler
// sends the very command that takes the lock.
func BenchmarkOverhead(b *testing.B) {
	for name, opts := range map[string][]httpmw.Option{
		"a route that waits": nil,
		"a route without":    {httpmw.Wait(0)},
	} {
		b.Run(name, func(b *testing.B) {
			o := newOverhead(b, opts...)
			routes := []string{"/locked/", "/trip/", "/bare/"}
			took := map[string][]time.Duration{}
			for b.Loop() {
				for _, route := range routes {
					start := time.Now()
					o.get(route)
					took[route] = append(took[route], time.Since(start))
					if route == "/locked/" {
						o.settle()
					}
				}
			}
			median := func(route string) float64 {
				slices.Sort(took[route])
				return float64(took[route][len(took[route])/2].Nanoseconds()) / 1e3
			}
			b.ReportMetric(0, "ns/op") // of all together: says nothing
			b.ReportMetric(median("/locked/"), "locked-µs")
			b.ReportMetric(median("/trip/"), "trip-µs")
			b.ReportMetric(median("/bare/"), "bare-µs")
			b.ReportMetric(median("/locked/")/median("/trip/"), "ratio")
		})
	}
}

// maxAllocations is how much more a locked request allocates than the bare one and
// the two commands of Redis that it takes.
const maxAllocations = 25

func TestALockedRequestAllocatesLittleMoreThanItsTwoCommands(t *testing.T) {
	if raceDetector {
		t.Skipf("\n*** SKIPPED: %s was NOT RUN: the race detector allocates, too.\n"+
			"*** `go test -run Allocates ./httpmw` runs it.", t.Name())
	}
	for name, opts := range map[string][]httpmw.Option{
		"a route that waits": nil,
		"a route without":    {httpmw.Wait(0)},
	} {
		t.Run(name, func(t *testing.T) {
			const requests = 2000
			o := newOverhead(t, opts...)
			each := func(do func()) float64 {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for range requests {
					do()
				}
				runtime.ReadMemStats(&after)
				return float64(after.Mallocs-before.Mallocs) / requests
			}
			locked := each(func() { o.get("/locked/") })
			bare := each(func() { o.get("/bare/") })
			commands := each(func() {
				id := o.id()
				if err := errors.Join(o.acquire.do(t.Context(), o.rdb, id), o.release.do(t.Context(), o.rdb, id)); err != nil {
					t.Error(err)
				}
			})
			t.Logf("%.1f allocations, of them %.1f bare and %.1f for two commands", locked, bare, commands)
			if more := locked - bare - commands; more > maxAllocations {
				t.Errorf("%.1f allocations more than the bare request and two commands; want at most %d", more, maxAllocations)
			}
		})
	}
}
