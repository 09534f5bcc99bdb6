package httpmw_test

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// overhead compares a locked route with its bare handler and Redis by itself, on
// one Redis. Each request has a key of its own: nothing contends.
type overhead struct {
	locker  *core.RedisLocker
	rdb     *redis.Client
	locked  http.Handler
	writer  discard
	request *http.Request
	next    int
}

// oneKey is a script of a lock's simplest kind: with as many bytes on the wire as
// Latchkey's, and next to nothing to do for Redis.
var oneKey = redis.NewScript(`return redis.call("SET", KEYS[1], ARGV[1], "NX", "PX", ARGV[2]) and 1 or 0`)

func newOverhead(tb testing.TB, opts ...httpmw.Option) *overhead {
	o := &overhead{rdb: locktest.StartRedis(tb).Client(&redis.Options{ContextTimeoutEnabled: true}), writer: discard{http.Header{}}}
	var err error
	if o.locker, err = core.New(o.rdb); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = o.locker.Close() })
	o.locked = mustNew(tb, o.locker, httpmw.Key(template), opts...)(http.HandlerFunc(bare))
	o.request = idRequest()
	if err := oneKey.Load(tb.Context(), o.rdb).Err(); err != nil {
		tb.Fatal(err)
	}
	for range 200 { // connections, pools
		o.lock()
		o.roundTrip(tb.Context())
	}
	return o
}

func bare(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

func (o *overhead) key() string {
	o.next++
	return strconv.Itoa(o.next)
}

// lock serves one request under its lock.
func (o *overhead) lock() {
	o.request.SetPathValue("id", o.key())
	o.locked.ServeHTTP(o.writer, o.request)
}

// roundTrip serves one request after one command of Redis.
func (o *overhead) roundTrip(ctx context.Context) {
	if err := oneKey.EvalSha(ctx, o.rdb, []string{o.key()}, "a value of some length", 10_000).Err(); err != nil {
		panic(err)
	}
	bare(o.writer, o.request)
}

// settle returns when nothing is under way: the release of the last request must
// not be paid for by the next measurement.
func (o *overhead) settle(ctx context.Context) {
	for len(o.locker.Snapshot().Holding) > 0 {
		runtime.Gosched()
	}
	if err := o.rdb.Ping(ctx).Err(); err != nil {
		panic(err)
	}
}

// BenchmarkOverhead measures in pairs, first the one and then the other, and
// reports the medians and their ratio: a locked request against the bare handler
// after one round trip.
func BenchmarkOverhead(b *testing.B) {
	for name, opts := range map[string][]httpmw.Option{
		"a route that waits": nil,
		"a route without":    {httpmw.Wait(0)},
	} {
		b.Run(name, func(b *testing.B) {
			o := newOverhead(b, opts...)
			var locked, plain []time.Duration
			timed := func(do func()) time.Duration {
				o.settle(b.Context())
				start := time.Now()
				do()
				return time.Since(start)
			}
			trip := func() { o.roundTrip(b.Context()) }
			for b.Loop() {
				locked = append(locked, timed(o.lock))
				plain = append(plain, timed(trip))
			}
			median := func(d []time.Duration) float64 {
				slices.Sort(d)
				return float64(d[len(d)/2].Nanoseconds())
			}
			l, p := median(locked), median(plain)
			b.ReportMetric(0, "ns/op") // of both together: says nothing
			b.ReportMetric(l/1e3, "locked-µs")
			b.ReportMetric(p/1e3, "trip-µs")
			b.ReportMetric(l/p, "ratio")
		})
	}
}

// maxAllocations is how much more a locked request allocates than the two commands
// of Redis that it takes, and the bare handler.
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
				o.settle(t.Context())
				runtime.ReadMemStats(&before)
				for range requests {
					do()
				}
				runtime.ReadMemStats(&after)
				return float64(after.Mallocs-before.Mallocs) / requests
			}
			settled := each(func() { o.settle(t.Context()) })
			locked := each(func() { o.lock(); o.settle(t.Context()) }) - settled
			trip := each(func() { o.roundTrip(t.Context()) })
			t.Logf("%.1f allocations, of them %.1f for two commands", locked, 2*trip)
			if more := locked - 2*trip; more > maxAllocations {
				t.Errorf("%.1f allocations more than two commands take; want at most %d", more, maxAllocations)
			}
		})
	}
}
