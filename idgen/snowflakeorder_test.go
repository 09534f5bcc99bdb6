package idgen

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// manyIDs is 50 million; with the race detector, which makes each 10 times as
// slow, it is 2 million.
const manyIDs = 50_000_000 / (1 + 24*raceDetector)

// An ID is above all that had been returned before it was asked for. Clocks play
// along: this one goes back now and then.
func TestManyIDsOfOneGeneratorRiseAndNoneComesTwice(t *testing.T) {
	const goroutines = 8
	var looks atomic.Int64
	start := time.Now()
	clock := func() time.Time {
		n := looks.Add(1)
		return start.Add(time.Duration(n)*10 - time.Duration(n%1000)*time.Millisecond)
	}
	_, rdb := newRedis(t, time.Time{})
	s := newSnowflake(t, rdb.DailyRedis.(SnowflakeRedis), Epoch(start.Add(-time.Hour).Truncate(time.Second)), WorkerBits(1), Skew(0), Clock(clock))
	first := mustID(t, s)

	var highest, made atomic.Int64
	highest.Store(int64(first))
	seen := newBitmap(4 * manyIDs) // by the distance from the first
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			block := make([]ID, 100)
			for round := g; made.Load() < manyIDs; round++ {
				dst := block[:1]
				if round%4 != 0 {
					dst = block
				}
				floor := ID(highest.Load())
				var err error
				if len(dst) == 1 {
					dst[0], err = s.Next(t.Context())
				} else {
					_, err = s.NextN(t.Context(), dst)
				}
				if err != nil {
					t.Error(err)
					return
				}
				for i, id := range dst {
					if id <= floor {
						t.Errorf("%d was asked for when %d had been returned", id, floor)
						return
					}
					if !seen.set(distance(first, id)) {
						t.Errorf("%d came twice, or %d IDs span too much", id, manyIDs)
						return
					}
					if i > 0 && distance(first, id) != distance(first, floor)+1 {
						t.Errorf("%d follows %d in a block", id, floor)
						return
					}
					floor = id
				}
				for was := highest.Load(); was < int64(floor) && !highest.CompareAndSwap(was, int64(floor)); {
					was = highest.Load()
				}
				made.Add(int64(len(dst)))
			}
		})
	}
	wg.Wait()
	if made.Load() < manyIDs {
		t.Errorf("%d IDs were made, want %d", made.Load(), manyIDs)
	}
}

// distance is how many IDs a worker with one bit could make from one to the other.
func distance(from, to ID) uint64 {
	const sequenceBits = sharedBits - 1
	word := func(id ID) uint64 {
		return uint64(id>>sharedBits<<sequenceBits | id&(1<<sequenceBits-1))
	}
	return word(to) - word(from)
}

type bitmap []atomic.Uint64

func newBitmap(bits int) bitmap { return make(bitmap, bits/64) }

// set reports whether the bit is there and was not set.
func (b bitmap) set(bit uint64) bool {
	if bit >= uint64(len(b))*64 {
		return false
	}
	mask := uint64(1) << (bit % 64)
	return b[bit/64].Or(mask)&mask == 0
}

// With 4,096 IDs per millisecond and all callers waiting in turn.
func TestTheSustainedRateIsTheLimitOfTheLayout(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		s := newSnowflake(t, r)
		batch := make([]ID, 4096)
		drain := func(until time.Time) (made int) {
			for time.Now().Before(until) {
				n, err := s.NextN(t.Context(), batch)
				if err != nil {
					t.Fatal(err)
				}
				made += n
			}
			return made
		}
		drain(time.Now().Add(5 * time.Second)) // what may be made at once, at the start
		const seconds = 3
		before := r.count()
		made := drain(time.Now().Add(seconds * time.Second))
		if limit := float64(seconds * 4_096_000); math.Abs(float64(made)/limit-1) > 0.02 {
			t.Errorf("%d IDs in %d s, want %.0f", made, seconds, limit)
		}
		if n := r.count() - before; n > seconds*40 {
			t.Errorf("%d calls of Redis in %d s, want at most one in 30 ms", n, seconds)
		}
	})
}

func TestACallerAtTheLimitWaitsForItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		s := newSnowflake(t, r)
		mustID(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ids := make([]ID, 20_000_000)
		start := time.Now()
		n, err := s.NextN(ctx, ids)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrWindowExhausted) || time.Since(start) != time.Second {
			t.Errorf("%v after %v, want both DeadlineExceeded and ErrWindowExhausted after a second", err, time.Since(start))
		}
		if n < 3_900_000 || n > 4_200_000 {
			t.Errorf("%d IDs in the first second, want 4,096,000", n)
		}
		for i := range ids[1:n] {
			if ids[i+1] <= ids[i] {
				t.Fatalf("%d follows %d", ids[i+1], ids[i])
			}
		}
	})
}

// One ID per millisecond or less: the first number of each.
func TestAtLowRatesIDsSpreadEvenlyOverShards(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		s := newSnowflake(t, r, WorkerBits(10))
		mustID(t, s)
		time.Sleep(5 * time.Second)
		for _, every := range []time.Duration{time.Millisecond, 7 * time.Millisecond, 250 * time.Millisecond} {
			const n = 1600
			var shards [32]int
			for range n {
				time.Sleep(every)
				shards[mustID(t, s)%32]++
			}
			for shard, got := range shards {
				if got < n/32/2 || got > n/32*2 {
					t.Errorf("every %v: %d of %d IDs are in shard %d of 32, want about %d", every, got, n, shard, n/32)
				}
			}
		}
	})
}

func TestIDsOfASnowflakeAreMadeWithoutAllocations(t *testing.T) {
	_, rdb := newRedis(t, time.Time{})
	s := newSnowflake(t, rdb.DailyRedis.(SnowflakeRedis), Epoch(testEpoch), WorkerBits(1), Skew(0)) // 2 million per millisecond
	mustID(t, s)
	batch := make([]ID, 100)
	for name, f := range map[string]func(){
		"Next":  func() { s.Next(t.Context()) },
		"NextN": func() { s.NextN(t.Context(), batch) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}
