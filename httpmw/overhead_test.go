package httpmw_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
	"github.com/latchkey-go/latchkey/internal/uncontended"
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
	acquire uncontended.Command
	release uncontended.Command
	next    int
}

func newOverhead(tb testing.TB, opts ...httpmw.Option) *overhead {
	server := locktest.StartRedis(tb)
	o := &overhead{tb: tb, rdb: server.Client(&redis.Options{ContextTimeoutEnabled: true})}
	o.acquire, o.release = uncontended.Record(tb, server, "id:")
	var err error
	if o.locker, err = core.New(o.rdb); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = o.locker.Close() })
	mux := http.NewServeMux()
	mux.Handle("/locked/{id}", mustNew(tb, o.locker, httpmw.Key("id:{path.id}"), opts...)(http.HandlerFunc(ok)))
	mux.HandleFunc("/bare/{id}", ok)
	mux.HandleFunc("/trip/{id}", func(w http.ResponseWriter, r *http.Request) {
		if err := o.acquire.Do(r.Context(), o.rdb, r.PathValue("id")); err != nil {
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
		found, err := o.locker.Inspect(o.tb.Context(), "id:"+strconv.Itoa(o.next))
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
			took := uncontended.Medians{}
			for b.Loop() {
				for _, kind := range []string{"locked", "trip", "bare"} {
					start := time.Now()
					o.get("/" + kind + "/")
					took.Took(kind, time.Since(start))
					if kind == "locked" {
						o.settle()
					}
				}
			}
			took.Report(b)
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
				if err := errors.Join(o.acquire.Do(t.Context(), o.rdb, id), o.release.Do(t.Context(), o.rdb, id)); err != nil {
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
