package idgen

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// slowRedis takes its time before each fetch, or until the caller gives up, and
// may then fail.
type slowRedis struct {
	DailyRedis
	delay time.Duration
	fail  atomic.Int64 // how many of the next fetches fail, with errOutage
}

var errOutage = errors.New("the network is down")

func (s *slowRedis) Pipelined(ctx context.Context, fn func(redis.Pipeliner) error) ([]redis.Cmder, error) {
	select {
	case <-time.After(s.delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.fail.Add(-1) >= 0 {
		return nil, errOutage
	}
	return s.DailyRedis.Pipelined(ctx, fn)
}

var bubbleEpoch = Epoch(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) // when bubbles begin

func TestOneTripServesAllCallersThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := newRedis(t, time.Time{})
		q := newDaily(t, &slowRedis{DailyRedis: rdb, delay: 50 * time.Millisecond}, bubbleEpoch)
		start := time.Now()
		var wg sync.WaitGroup
		for range 5000 {
			wg.Go(func() { mustNext(t, q) })
		}
		wg.Wait()
		// The first fetch is for the first caller; the others are known by the
		// second.
		if trips, took := rdb.trips.Load(), time.Since(start); trips > 3 || took > 150*time.Millisecond {
			t.Errorf("5,000 callers took %d trips and %v", trips, took)
		}
	})
}

func TestABatchTakesOneTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := newRedis(t, time.Time{})
		q := newDaily(t, &slowRedis{DailyRedis: rdb, delay: 50 * time.Millisecond}, bubbleEpoch)
		start := time.Now()
		ids := make([]ID, 5000)
		if n, err := q.NextN(t.Context(), ids); n != len(ids) || err != nil || time.Since(start) != 50*time.Millisecond {
			t.Errorf("NextN = %d, %v after %v, want one trip of 50ms", n, err, time.Since(start))
		}
		for i := 1; i < len(ids); i++ {
			if ids[i] <= ids[i-1] {
				t.Fatalf("%d follows %d", ids[i], ids[i-1])
			}
		}
		if n, err := q.NextN(t.Context(), nil); n != 0 || err != nil {
			t.Errorf("NextN of nothing = %d, %v", n, err)
		}
	})
}

func TestTheNextSegmentIsFetchedBeforeItIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := newRedis(t, time.Time{})
		q := newDaily(t, &slowRedis{DailyRedis: rdb, delay: 50 * time.Millisecond}, bubbleEpoch)
		mustNext(t, q)
		start := time.Now()
		for range 1000 {
			time.Sleep(2 * time.Millisecond) // 100 last for 200 ms
			mustNext(t, q)
		}
		if waited := time.Since(start) - 2*time.Second; waited != 0 {
			t.Errorf("callers waited for %v in all", waited)
		}
	})
}

func TestSegmentsGrowUnderLoadAndShrinkWithoutIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, rdb := newRedis(t, time.Time{})
		q := newDaily(t, rdb, bubbleEpoch, Segment(10, 1000))
		counter := func() int {
			q.settle()
			v, _ := m.Get("latchkey:daily:{orders}:counter:2000-01-01")
			n, _ := strconv.Atoi(v)
			return n
		}
		// growth returns the size of the next segment that is fetched.
		growth := func(pause time.Duration) int {
			for before := counter(); ; {
				mustNext(t, q)
				if now := counter(); now != before {
					return now - before
				}
				time.Sleep(pause)
			}
		}
		var sizes []int
		for range 12 {
			sizes = append(sizes, growth(time.Millisecond))
		}
		if sizes[0] != 10 || sizes[1] != 20 || sizes[2] != 40 || sizes[11] != 1000 {
			t.Errorf("under load the segments were %v; want 10, doubled up to 1000", sizes)
		}
		sizes = nil
		for range 12 {
			sizes = append(sizes, growth(15*time.Second))
		}
		if sizes[11] != 10 {
			t.Errorf("without load the segments were %v; want halved down to 10", sizes)
		}
	})
}

// hangingRedis accepts everything and answers nothing.
func hangingRedis(t *testing.T) *redis.Client {
	rdb := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:6379",
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				io.Copy(io.Discard, theirs)
				theirs.Close()
			}()
			return ours, nil
		},
	})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

// checkDeadline has a caller with a deadline of 100 ms wait for Redis.
func checkDeadline(t *testing.T, g Generator[ID]) {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := g.Next(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 100*time.Millisecond {
		t.Errorf("got %v after %v, want the deadline after 100ms", err, time.Since(start))
	}
}

func TestACallerReturnsAtItsDeadlineWhileRedisHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, err := NewDailySequence(hangingRedis(t), "orders", bubbleEpoch)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		checkDeadline(t, q)

		// One that is cancelled tells why.
		why := errors.New("the client has gone")
		cancelled, stop := context.WithCancelCause(t.Context())
		time.AfterFunc(50*time.Millisecond, func() { stop(why) })
		if _, err := q.Next(cancelled); !errors.Is(err, context.Canceled) || !errors.Is(err, why) || time.Since(start) != 150*time.Millisecond {
			t.Errorf("got %v after %v, want cancelled after 150ms", err, time.Since(start))
		}

		// Those without a deadline are woken by Close, which is bounded too.
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := q.Next(context.Background()); !errors.Is(err, ErrClosed) {
				t.Errorf("a waiting caller got %v, want ErrClosed", err)
			}
			if took := time.Since(start); took != 150*time.Millisecond {
				t.Errorf("woken after %v", took)
			}
		})
		synctest.Wait()
		if err := q.Close(); !errors.Is(err, ErrBackend) || time.Since(start) > 150*time.Millisecond+closeWait {
			t.Errorf("Close while Redis hangs: %v after %v", err, time.Since(start))
		}
		wg.Wait()
		time.Sleep(time.Minute) // the client's own timeouts
		if err := q.Close(); err != nil {
			t.Errorf("Close after the client gave up: %v", err)
		}
		q.running.Wait()
	})
}

func TestWithoutADeadlineTheClientsTimeoutsAreTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newDaily(t, hangingRedis(t), bubbleEpoch)
		start := time.Now()
		_, err := q.Next(context.Background())
		if !errors.Is(err, ErrBackend) || time.Since(start) > 2*time.Minute {
			t.Errorf("got %v after %v, want ErrBackend", err, time.Since(start))
		}
	})
}

func TestTheSequenceGoesOnAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := newRedis(t, time.Time{})
		out := &slowRedis{DailyRedis: rdb.DailyRedis}
		rdb.DailyRedis = out
		q := newDaily(t, rdb, bubbleEpoch, Segment(10, 10))
		last := mustNext(t, q).Counter
		out.fail.Store(1000)
		trips := rdb.trips.Load()
		for range 9 { // at hand
			last = mustNext(t, q).Counter
			q.settle()
		}
		if n := rdb.trips.Load() - trips; n != 1 {
			t.Errorf("%d trips ahead of time within one second of an outage, want 1", n)
		}
		if _, err := q.Next(t.Context()); !errors.Is(err, ErrBackend) || !errors.Is(err, errOutage) {
			t.Errorf("during the outage: %v, want ErrBackend with its cause", err)
		}
		out.fail.Store(0)
		if got := mustNext(t, q); got.Counter != last+1 {
			t.Errorf("after the outage: %+v, want %d", got, last+1)
		}
	})
}

func TestACloseWakesWaitersAndIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := newRedis(t, time.Time{})
		q := newDaily(t, &slowRedis{DailyRedis: rdb, delay: time.Hour}, bubbleEpoch)
		errs := make(chan error, 10)
		for range cap(errs) {
			go func() {
				_, err := q.Next(context.Background())
				errs <- err
			}()
		}
		synctest.Wait()
		for range 2 {
			if err := q.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		for range cap(errs) {
			if err := <-errs; !errors.Is(err, ErrClosed) {
				t.Errorf("a waiter got %v, want ErrClosed", err)
			}
		}
		if _, err := q.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v, want ErrClosed", err)
		}
	})
}

func TestACallerWhoGivesUpLeavesTheTripToTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := newRedis(t, time.Time{})
		q := newDaily(t, &slowRedis{DailyRedis: rdb, delay: time.Second}, bubbleEpoch)
		ctx, cancel := context.WithCancel(t.Context())
		go q.Next(ctx) // the first: its fetch
		synctest.Wait()
		var wg sync.WaitGroup
		wg.Go(func() { mustNext(t, q) })
		synctest.Wait()
		cancel()
		wg.Wait()
		if n := rdb.trips.Load(); n != 1 {
			t.Errorf("%d trips, want the first one only", n)
		}
		if q.demand != 0 {
			t.Errorf("demand is %d with no one waiting", q.demand)
		}
	})
}

func TestATripOfYesterdayThatFailsIsNoConcernOfTodaysCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rdb := newRedis(t, time.Time{})
		out := &slowRedis{DailyRedis: rdb, delay: time.Second}
		q := newDaily(t, out, bubbleEpoch)
		time.Sleep(24*time.Hour - 500*time.Millisecond)
		out.fail.Store(1)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := q.Next(t.Context()); !errors.Is(err, ErrBackend) {
				t.Errorf("before midnight: %v, want ErrBackend", err)
			}
		})
		time.Sleep(600 * time.Millisecond)
		want := DailyParts{time.Date(2000, 1, 2, 0, 0, 1, 0, time.UTC), 1}
		if got := mustNext(t, q); got != want {
			t.Errorf("after midnight: %+v, want %+v", got, want)
		}
		wg.Wait()
	})
}
