package idgen

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

const roundTrip = time.Millisecond

// load has callers come at a constant rate, each on a goroutine of its own, and
// returns how long the one who waited longest did.
func load(t *testing.T, q *Sequence, perSecond int, lasting time.Duration) time.Duration {
	t.Helper()
	var (
		wg      sync.WaitGroup
		longest atomic.Int64
	)
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for end := time.Now().Add(lasting); time.Now().Before(end); <-tick.C {
		wg.Go(func() {
			start := time.Now()
			if _, err := q.Next(t.Context()); err != nil {
				t.Error(err)
			}
			for took := int64(time.Since(start)); ; {
				l := longest.Load()
				if took <= l || longest.CompareAndSwap(l, took) {
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Duration(longest.Load())
}

func TestNobodyWaitsWhenTheRateDoublesOrRisesTenfold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := newSequenceRedis(t)
		rdb.delay = roundTrip
		q := newSequence(t, rdb)
		if wait := load(t, q, 500, 20*time.Second); wait != roundTrip {
			t.Errorf("the longest wait from the start was %v, want one round trip, for the first segment", wait)
		}
		for _, rate := range []int{1000, 10_000, 500, 5000} {
			if wait := load(t, q, rate, 10*time.Second); wait != 0 {
				t.Errorf("at %d IDs a second the longest wait was %v", rate, wait)
			}
		}
	})
}

// 200 come in a round trip, and the first segments have 100.
func TestABurstOfMoreThanASegmentPerRoundTripWaitsForThreeOfThemAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := newSequenceRedis(t)
		rdb.delay = roundTrip
		q := newSequence(t, rdb)
		if wait := load(t, q, 200_000, 100*time.Millisecond); wait > 3*roundTrip {
			t.Errorf("the longest wait from the start was %v", wait)
		}
		load(t, q, 5, 5*time.Minute) // the segments shrink
		if wait := load(t, q, 200_000, 100*time.Millisecond); wait > 3*roundTrip {
			t.Errorf("the longest wait in a burst was %v", wait)
		}
	})
}

func TestOneTripServesAllCallersOfASequenceThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := newSequenceRedis(t)
		rdb.delay = roundTrip
		q := newSequence(t, rdb)
		start := time.Now()
		var wg sync.WaitGroup
		for range 5000 {
			wg.Go(func() { mustNumber(t, q) })
		}
		wg.Wait()
		// The first fetch is for the first caller; the others are known by the
		// second. The third is ahead of need.
		if trips, took := rdb.commands.Load(), time.Since(start); trips > 3 || took != 2*roundTrip {
			t.Errorf("5,000 callers took %d trips and %v", trips, took)
		}
	})
}

func TestABatchTakesOneTripWhateverTheSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := newSequenceRedis(t)
		rdb.delay = roundTrip
		q := newSequence(t, rdb)
		start := time.Now()
		for range 2 {
			ids := make([]ID, 50_000)
			if n, err := q.NextN(t.Context(), ids); n != len(ids) || err != nil {
				t.Fatalf("NextN = %d, %v", n, err)
			}
			for i := range ids {
				if ids[i] != ids[0]+ID(i) {
					t.Fatalf("%d follows %d", ids[i], ids[i-1])
				}
			}
			if took := time.Since(start); took != roundTrip {
				t.Errorf("it took %v, want one round trip", took)
			}
			q.settle() // the fetch ahead of need
			start = time.Now()
		}
	})
}

func TestSegmentsLastTenToTwentySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := newSequenceRedis(t)
		q := newSequence(t, rdb, Segment(10, 50_000))
		for _, c := range []struct{ rate, ids int }{{200, 10_000}, {1000, 60_000}, {50, 70_000}, {1, 4_000}} {
			for range c.ids {
				time.Sleep(time.Second / time.Duration(c.rate))
				mustNumber(t, q)
			}
			q.settle()
			q.mu.Lock()
			if size := int(q.spare.size); size < 10*c.rate || size > 20*c.rate {
				t.Errorf("at %d IDs a second segments have %d", c.rate, size)
			}
			q.mu.Unlock()
		}
	})
}

func TestCallersOfASequenceReturnAtTheirDeadlineWhileRedisHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, err := NewSequence(hangingRedis(t), "orders")
		if err != nil {
			t.Fatal(err)
		}
		checkDeadline(t, q)
		start := time.Now()
		if _, err := q.Next(t.Context()); !errors.Is(err, ErrBackend) || time.Since(start) > 2*time.Minute {
			t.Errorf("without a deadline: %v after %v, want ErrBackend from the client's own timeouts", err, time.Since(start))
		}

		// Waiters are woken by Close, which is bounded too.
		start = time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := q.Next(context.Background()); !errors.Is(err, ErrClosed) || time.Since(start) != 0 {
				t.Errorf("a waiting caller got %v after %v, want ErrClosed at once", err, time.Since(start))
			}
		})
		synctest.Wait()
		if err := q.Close(); !errors.Is(err, ErrBackend) || time.Since(start) != closeWait {
			t.Errorf("Close while Redis hangs: %v after %v", err, time.Since(start))
		}
		wg.Wait()
		q.running.Wait()
	})
}

func TestATripAheadOfNeedThatFailedIsRepeatedBeforeTheSegmentEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := newSequenceRedis(t)
		rdb.delay = roundTrip
		q := newSequence(t, rdb, Segment(100, 100))
		mustNumber(t, q)
		q.settle()
		for range 99 {
			mustNumber(t, q)
		}
		rdb.fail.Store(1)
		before := rdb.commands.Load()
		start := time.Now()
		for range 200 {
			mustNumber(t, q)
			time.Sleep(100 * time.Millisecond)
		}
		if waited := time.Since(start) - 20*time.Second; waited != 0 {
			t.Errorf("after an outage that was over long ago, callers waited for %v", waited)
		}
		// The one that failed; its repetition, and the next one: each looks first.
		if n := rdb.commands.Load() - before; n != 5 {
			t.Errorf("%d commands, want 5", n)
		}
	})
}

func TestASequenceTellsOfAnOutageAndGoesOnAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := newSequenceRedis(t)
		q := newSequence(t, rdb, Segment(100, 100))
		rdb.fail.Store(1000)
		if id, err := q.Next(t.Context()); !errors.Is(err, ErrBackend) || !errors.Is(err, errOutage) || id != 0 {
			t.Errorf("during the outage: %d, %v, want ErrBackend with its cause", id, err)
		}
		rdb.fail.Store(0)
		time.Sleep(retryAhead)
		ids := make([]ID, 150)
		if n, err := q.NextN(t.Context(), ids); n != len(ids) || err != nil || ids[0] != 1 {
			t.Errorf("after the outage: %d, %v", n, err)
		}
		q.settle()
		rdb.fail.Store(1000)
		before := rdb.commands.Load()
		for want := ID(151); want <= 200; want++ { // at hand
			if got := mustNumber(t, q); got != want {
				t.Fatalf("during the outage: %d, want %d", got, want)
			}
			q.settle()
		}
		if n := rdb.commands.Load() - before; n != 1 {
			t.Errorf("%d trips ahead of need within one second of an outage, want 1", n)
		}
		ids = make([]ID, 400)
		if n, err := q.NextN(t.Context(), ids); n != 50 || !errors.Is(err, ErrBackend) || ids[n-1] != 250 {
			t.Errorf("NextN in an outage = %d, %v; want the 50 that are at hand", n, err)
		}
	})
}

// lossyConn breaks where it would have read a reply.
type lossyConn struct {
	net.Conn
	lose   *atomic.Int64 // how many replies from now
	broken atomic.Bool
}

func (c *lossyConn) Read(b []byte) (int, error) {
	if c.broken.Load() {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(b)
	if err == nil && c.lose.Add(-1) == 0 {
		c.broken.Store(true)
		return 0, io.EOF
	}
	return n, err
}

func TestALostReplyLeavesNumbersOutAndGivesNoneTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := newSequenceRedis(t)
		var lose atomic.Int64
		rdb := redis.NewClient(&redis.Options{
			Addr: "127.0.0.1:6379",
			Dialer: func(context.Context, string, string) (net.Conn, error) {
				conn, err := m.Dial()
				return &lossyConn{Conn: conn, lose: &lose}, err
			},
		})
		defer rdb.Close()
		q := newSequence(t, rdb, Segment(10, 10))
		seen := map[ID]bool{}
		for i := range 200 {
			if i%40 == 1 {
				lose.Store(1)
			}
			id := mustNumber(t, q)
			if seen[id] {
				t.Fatalf("%d came twice", id)
			}
			seen[id] = true
			q.settle()
		}
		// 20 segments, the one ahead, and five whose replies were lost.
		if got, _ := m.Get(ordersKey); got != "260" {
			t.Errorf("the counter is at %s, want 260: the client repeats a call whose reply is lost", got)
		}
	})
}
