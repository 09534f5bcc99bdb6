package idgen

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

const ordersKey = "latchkey:sequence:{orders}"

// sequenceRedis counts the commands, takes its time before each, and may then
// fail.
type sequenceRedis struct {
	SequenceRedis
	delay    time.Duration
	fail     atomic.Int64 // how many of the next commands fail, with errOutage
	commands atomic.Int64
}

func (s *sequenceRedis) IncrBy(ctx context.Context, key string, n int64) *redis.IntCmd {
	s.commands.Add(1)
	err := error(nil)
	select {
	case <-time.After(s.delay):
	case <-ctx.Done():
		err = ctx.Err()
	}
	if s.fail.Add(-1) >= 0 {
		err = errOutage
	}
	if err != nil {
		cmd := redis.NewIntCmd(ctx)
		cmd.SetErr(err)
		return cmd
	}
	return s.SequenceRedis.IncrBy(ctx, key, n)
}

// newSequenceRedis is newRedis for a Sequence.
func newSequenceRedis(t testing.TB) (*miniredis.Miniredis, *sequenceRedis) {
	t.Helper()
	m, rdb := newRedis(t, time.Time{})
	return m, &sequenceRedis{SequenceRedis: rdb.DailyRedis.(SequenceRedis)}
}

func newSequence(t testing.TB, rdb SequenceRedis, opts ...SequenceOption) *Sequence {
	t.Helper()
	q, err := NewSequence(rdb, "orders", opts...)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, q)
	return q
}

func mustNumber(t testing.TB, g Generator[ID]) ID {
	t.Helper()
	id, err := g.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestASequenceCountsFromOneWithoutGaps(t *testing.T) {
	m, rdb := newSequenceRedis(t)
	q := newSequence(t, rdb, KeyPrefix("shop"), Segment(3, 20))
	if rdb.commands.Load() != 0 {
		t.Error("NewSequence talks to Redis")
	}
	batch := make([]ID, 7)
	for want := ID(1); want < 500; {
		if got := mustNumber(t, q); got != want {
			t.Fatalf("got %d, want %d", got, want)
		}
		want++
		if n, err := q.NextN(t.Context(), batch); n != len(batch) || err != nil {
			t.Fatalf("NextN = %d, %v", n, err)
		}
		for _, got := range batch {
			if got != want {
				t.Fatalf("got %v, want them to begin at %d", batch, want)
			}
			want++
		}
	}
	if keys := m.Keys(); !slices.Equal(keys, []string{"shop:sequence:{orders}"}) || m.TTL(keys[0]) != 0 {
		t.Errorf("keys: %v; want one, with no expiry", keys)
	}
}

func TestSequencesOfOneNameShareNoNumber(t *testing.T) {
	const processes, goroutines, each = 4, 3, 5000
	_, rdb := newSequenceRedis(t)
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		all []ID
	)
	for range processes {
		q := newSequence(t, rdb, Segment(1, 50))
		for g := range goroutines {
			wg.Go(func() {
				var own []ID
				batch := make([]ID, 1+g*10)
				for len(own) < each {
					n, err := q.NextN(t.Context(), batch)
					if err != nil || n != len(batch) {
						t.Errorf("NextN = %d, %v", n, err)
						return
					}
					own = append(own, batch...)
				}
				mu.Lock()
				all = append(all, own...)
				mu.Unlock()
			})
		}
	}
	wg.Wait()
	slices.Sort(all)
	if n := len(all) - len(slices.Compact(all)); n != 0 {
		t.Errorf("%d duplicates", n)
	}
	if lost := int(all[len(all)-1]) - len(all); lost > processes*2*60 {
		t.Errorf("%d numbers are left out, more than two segments in each process", lost)
	}
}

func TestAnIDIsGreaterThanAllThatHadBeenReturnedBeforeItsNextBegan(t *testing.T) {
	_, rdb := newSequenceRedis(t)
	q := newSequence(t, rdb, Segment(1, 7)) // many changes of the segment
	var returned atomic.Int64               // the greatest
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			batch := make([]ID, 1+g%3)
			for range 3000 {
				before := returned.Load()
				if _, err := q.NextN(t.Context(), batch); err != nil {
					t.Error(err)
					return
				}
				if int64(batch[0]) <= before || !slices.IsSorted(batch) {
					t.Errorf("got %v after %d had been returned", batch, before)
					return
				}
				for last := int64(batch[len(batch)-1]); ; {
					seen := returned.Load()
					if seen >= last || returned.CompareAndSwap(seen, last) {
						break
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestANumberOfALargeSegmentIsNotMistaken(t *testing.T) {
	const beyond = 1 << 60 // what a double cannot hold
	m, rdb := newSequenceRedis(t)
	m.Set(ordersKey, "1152921504606846977")
	q := newSequence(t, rdb, After(beyond))
	if got := mustNumber(t, q); got != beyond+2 {
		t.Errorf("got %d, want %d", got, beyond+2)
	}
}

func TestNewSequenceListsEverythingThatIsWrong(t *testing.T) {
	_, err := NewSequence((*redis.Client)(nil), "a{b}", nil, KeyPrefix(""), Segment(5, 4), Clock(nil), After(-1))
	if !errors.Is(err, ErrOption) {
		t.Fatalf("got %v, want ErrOption", err)
	}
	for _, want := range []string{"client is nil", `name "a{b}"`, `KeyPrefix ""`, "Segment 5, 4", "Clock is nil", "After -1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

func TestARingIsRefused(t *testing.T) {
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:6379"}, HeartbeatFrequency: time.Hour})
	defer ring.Close()
	if _, err := NewSequence(ring, "orders"); !errors.Is(err, ErrOption) {
		t.Errorf("NewSequence: %v, want ErrOption", err)
	}
	if _, err := NewDailySequence(ring, "orders", Epoch(testEpoch)); !errors.Is(err, ErrOption) {
		t.Errorf("NewDailySequence: %v, want ErrOption", err)
	}
}

func TestNoNumberFollowsTheLast(t *testing.T) {
	_, rdb := newSequenceRedis(t)
	q := newSequence(t, rdb, After(math.MaxInt64))
	if id, err := q.Next(t.Context()); !errors.Is(err, ErrSequenceExhausted) {
		t.Errorf("got %d, %v; want ErrSequenceExhausted", id, err)
	}
}

func TestAClosedSequenceMakesNoNumber(t *testing.T) {
	_, rdb := newSequenceRedis(t)
	q := newSequence(t, rdb)
	mustNumber(t, q)
	for range 2 {
		if err := q.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := q.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Next: %v, want ErrClosed", err)
	}
	for _, dst := range [][]ID{nil, make([]ID, 3)} {
		if n, err := q.NextN(t.Context(), dst); n != 0 || !errors.Is(err, ErrClosed) {
			t.Errorf("NextN: %d, %v, want ErrClosed", n, err)
		}
	}
	if err := q.Check(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Check: %v, want ErrClosed", err)
	}
}

func TestSequenceNextDoesNotAllocate(t *testing.T) {
	_, rdb := newSequenceRedis(t)
	q := newSequence(t, rdb, Segment(MaxSegment, MaxSegment))
	mustNumber(t, q)
	q.settle()
	batch := make([]ID, 100)
	if n := testing.AllocsPerRun(1000, func() {
		q.Next(t.Context())
		q.NextN(t.Context(), batch)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
