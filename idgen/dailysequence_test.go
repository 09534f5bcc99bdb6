package idgen

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestDailyIDsAreSecondAndCounterAndReadBack(t *testing.T) {
	clock := newClock(noon)
	_, rdb := newRedis(t, noon)
	q := newDaily(t, rdb, Clock(clock.now))
	if got, want := mustNext(t, q), (DailyParts{noon, 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	clock.advance(90*time.Second + 900*time.Millisecond)
	if got, want := mustNext(t, q), (DailyParts{noon.Add(90 * time.Second), 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	id, _ := q.Next(t.Context())
	if want := ID(noon.Sub(testEpoch).Seconds()+90)<<32 | 3; id != want {
		t.Errorf("got %d, want %d", id, want)
	}
	for _, bad := range []ID{-1, 0, 1 << 32} {
		if _, err := SplitDaily(bad, testEpoch); !errors.Is(err, ErrInvalidID) {
			t.Errorf("SplitDaily(%d): %v, want ErrInvalidID", bad, err)
		}
	}
}

func TestTheCounterStartsAgainAtMidnightOfTheZone(t *testing.T) {
	for _, c := range []struct {
		zone     string
		midnight string // in UTC
		day      string
	}{
		{"UTC", "2026-11-24T00:00:00Z", "2026-11-24"},
		{"Asia/Shanghai", "2026-11-23T16:00:00Z", "2026-11-24"},
		{"Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29"}, // a day of 23 hours begins
		{"Europe/Berlin", "2026-03-29T22:00:00Z", "2026-03-30"}, // and ends
		{"Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25"}, // one of 25
		{"Europe/Berlin", "2026-10-25T23:00:00Z", "2026-10-26"},
	} {
		t.Run(c.zone+" "+c.day, func(t *testing.T) {
			midnight, err := time.Parse(time.RFC3339, c.midnight)
			if err != nil {
				t.Fatal(err)
			}
			clock := newClock(midnight.Add(-time.Second))
			m, rdb := newRedis(t, midnight)
			q := newDaily(t, rdb, Clock(clock.now), Zone(location(t, c.zone)))
			for want := range uint32(5) {
				if got := mustNext(t, q); got.Counter != want+1 {
					t.Errorf("before midnight: %+v, want the counter %d", got, want+1)
				}
			}
			clock.set(midnight)
			if got := mustNext(t, q); got != (DailyParts{midnight, 1}) {
				t.Errorf("at midnight: %+v, want the counter 1", got)
			}
			key := "latchkey:daily:{orders}:counter:" + c.day
			if got, err := m.Get(key); err != nil || got != "100" {
				t.Errorf("%s = %q, %v; want one segment", key, got, err)
			}
			end := time.Unix(dayOf(midnight.Unix(), location(t, c.zone)).hi, 0)
			if got, want := m.TTL(key), end.Add(7*24*time.Hour).Sub(midnight); got != want {
				t.Errorf("%s expires in %v, want %v", key, got, want)
			}
		})
	}
}

func TestEveryKeyHasTheHashTagAndAnExpiry(t *testing.T) {
	m, rdb := newRedis(t, noon)
	q := newDaily(t, rdb, Clock(newClock(noon).now), KeyPrefix("shop"))
	mustNext(t, q)
	for _, key := range m.Keys() {
		if !strings.HasPrefix(key, "shop:daily:{orders}:") || m.TTL(key) < 7*24*time.Hour {
			t.Errorf("key %s expires in %v", key, m.TTL(key))
		}
	}
	if n := len(m.Keys()); n != 3 {
		t.Errorf("%d keys after the first ID, want the counter and two records of the layout", n)
	}
}

func TestAClockSetBackOverMidnightKeepsTheSecondAndTheCounter(t *testing.T) {
	midnight := noon.Add(12 * time.Hour)
	clock := newClock(midnight.Add(3 * time.Second))
	_, rdb := newRedis(t, midnight)
	q := newDaily(t, rdb, Clock(clock.now))
	first := mustNext(t, q)
	clock.set(midnight.Add(-10 * time.Second))
	if got := mustNext(t, q); got.Time != first.Time || got.Counter != first.Counter+1 {
		t.Errorf("after the clock went back: %+v, want the second of %+v and the next number", got, first)
	}
	clock.set(midnight.Add(4 * time.Second))
	if got := mustNext(t, q); got != (DailyParts{midnight.Add(4 * time.Second), first.Counter + 2}) {
		t.Errorf("after the clock caught up: %+v", got)
	}
}

func TestAClockThatWasWrongForAMomentDoesNoHarm(t *testing.T) {
	for _, wrong := range []time.Duration{48 * time.Hour, 365 * 24 * time.Hour, -72 * time.Hour} {
		clock := newClock(noon)
		_, rdb := newRedis(t, noon)
		before := mustNext(t, newDaily(t, rdb, Clock(clock.now)))

		q := newDaily(t, rdb, Clock(clock.now))
		clock.advance(wrong)
		if id, err := q.Next(t.Context()); !errors.Is(err, ErrClock) {
			t.Errorf("clock off by %v: %d, %v; want ErrClock", wrong, id, err)
		}
		clock.advance(-wrong)
		if got := mustNext(t, q); got.Time != before.Time || got.Counter <= before.Counter {
			t.Errorf("after the clock was off by %v: %+v follows %+v", wrong, got, before)
		}
	}
}

// The key of a day that is long over has expired, and would count from 1 again.
func TestAProcessThatSleptPastTheExpiryOfItsDayGetsNoNumbers(t *testing.T) {
	clock := newClock(noon)
	m, rdb := newRedis(t, noon)
	q := newDaily(t, rdb, Clock(clock.now), Segment(1, 1))
	mustNext(t, q)
	q.settle()
	m.SetTime(noon.Add(9 * 24 * time.Hour)) // our clock stands still
	mustNext(t, q)                          // a number of before
	q.settle()
	if id, err := q.Next(t.Context()); !errors.Is(err, ErrClock) {
		t.Errorf("got %d, %v; want ErrClock", id, err)
	}
}

func TestTimeMustLieWithin31BitsOfSecondsAfterTheEpoch(t *testing.T) {
	last := testEpoch.Add((1<<31 - 1) * time.Second)
	for _, c := range []struct {
		at   time.Time
		want error
	}{
		{testEpoch.Add(-time.Second), ErrClock},
		{testEpoch, nil},
		{last, nil},
		{last.Add(time.Second), ErrTimeExhausted},
	} {
		_, rdb := newRedis(t, c.at)
		q := newDaily(t, rdb, Clock(newClock(c.at).now))
		id, err := q.Next(t.Context())
		if !errors.Is(err, c.want) || id < 0 || (err == nil) != (id > 0) {
			t.Errorf("at %v: %d, %v; want %v", c.at, id, err, c.want)
		}
		if p, err := q.Split(id); c.want == nil && (err != nil || !p.Time.Equal(c.at)) {
			t.Errorf("at %v: reads back as %+v, %v", c.at, p, err)
		}
	}
}

func TestACounterThatIsUsedUpIsAnErrorUntilTheNextDay(t *testing.T) {
	clock := newClock(noon)
	m, rdb := newRedis(t, noon)
	if err := m.Set("latchkey:daily:{orders}:counter:2026-11-23", fmt.Sprint(maxCounter-250)); err != nil {
		t.Fatal(err)
	}
	a, b := newDaily(t, rdb, Clock(clock.now)), newDaily(t, rdb, Clock(clock.now))
	seen := map[uint32]bool{}
	for _, q := range []*DailySequence{a, b} {
		for {
			id, err := q.Next(t.Context())
			if errors.Is(err, ErrSequenceExhausted) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			p, err := q.Split(id)
			if err != nil || seen[p.Counter] {
				t.Fatalf("%+v, %v: invalid, or not the first", p, err)
			}
			seen[p.Counter] = true
			q.settle()
		}
		before := rdb.trips.Load()
		if _, err := q.Next(t.Context()); !errors.Is(err, ErrSequenceExhausted) {
			t.Errorf("the error must stay, got %v", err)
		}
		if q == a && rdb.trips.Load() != before {
			t.Error("a used-up counter was asked again")
		}
	}
	if !seen[maxCounter] || len(seen) != 250 {
		t.Errorf("%d numbers were given out, want all 250", len(seen))
	}
	clock.advance(12 * time.Hour)
	if got := mustNext(t, a); got.Counter != 1 {
		t.Errorf("the next day begins with %+v", got)
	}
}

func TestProcessesThatDisagreeOnEpochOrDayAreRefused(t *testing.T) {
	berlin := location(t, "Europe/Berlin")
	for name, c := range map[string]struct {
		opts []DailyOption
		at   time.Time
		want error
	}{
		"same":                      {nil, noon, nil},
		"same zone by another name": {[]DailyOption{Zone(location(t, "Africa/Abidjan"))}, noon, nil},
		"other epoch":               {[]DailyOption{Epoch(testEpoch.Add(time.Second))}, noon, ErrLayoutMismatch},
		"other zone":                {[]DailyOption{Zone(berlin)}, noon, ErrLayoutMismatch},
		// In Berlin it is the 24th already: the two have one midnight in common
		// to disagree on.
		"other zone, other day": {[]DailyOption{Zone(berlin)}, noon.Add(11*time.Hour + 30*time.Minute), ErrLayoutMismatch},
		"zone behind":           {[]DailyOption{Zone(location(t, "America/Lima"))}, noon.Add(-9 * time.Hour), ErrLayoutMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			_, rdb := newRedis(t, noon)
			mustNext(t, newDaily(t, rdb, Clock(newClock(c.at).now)))
			other := newDaily(t, rdb, append([]DailyOption{Clock(newClock(c.at).now)}, c.opts...)...)
			if id, err := other.Next(t.Context()); !errors.Is(err, c.want) || (err == nil) != (id != 0) {
				t.Errorf("got %d, %v; want %v", id, err, c.want)
			}
		})
	}
}

func TestNewDailySequenceListsEverythingThatIsWrong(t *testing.T) {
	_, err := NewDailySequence(nil, "a{b}", nil, KeyPrefix(""), Zone(nil), Segment(5, 4))
	if !errors.Is(err, ErrOption) {
		t.Fatalf("got %v, want ErrOption", err)
	}
	for _, want := range []string{"client is nil", `name "a{b}"`, `KeyPrefix ""`, "Epoch is missing", "Zone is nil", "Segment 5, 4"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	_, rdb := newRedis(t, noon)
	for _, o := range []DailyOption{Epoch(testEpoch.Add(1)), Segment(0, 1), Segment(1, MaxSegment+1), KeyPrefix(strings.Repeat("x", 65))} {
		if _, err := NewDailySequence(rdb, "orders", Epoch(testEpoch), o); !errors.Is(err, ErrOption) {
			t.Errorf("got %v, want ErrOption", err)
		}
	}
}

// The heart of the matter: many processes, clocks that differ by up to ten
// seconds and jump back and forth around a midnight.
func TestProcessesWithJumpingClocksAroundMidnightMakeNoDuplicates(t *testing.T) {
	const processes, goroutines, each = 6, 3, 4000
	midnight := time.Date(2026, 3, 28, 23, 0, 0, 0, time.UTC) // of Berlin, into a day of 23 hours
	berlin := location(t, "Europe/Berlin")
	_, rdb := newRedis(t, midnight)
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		all []ID
	)
	for p := range processes {
		clock := newClock(midnight.Add(time.Duration(p-3) * 3 * time.Second))
		q := newDaily(t, rdb, Zone(berlin), Clock(clock.now), Segment(7, 50))
		for g := range goroutines {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(p), uint64(g)))
				var own []ID
				batch := make([]ID, 30)
				for len(own) < each {
					if r.IntN(50) == 0 {
						clock.set(midnight.Add(time.Duration(r.Int64N(int64(20*time.Second))) - 10*time.Second))
					}
					dst := batch[:1]
					if r.IntN(4) == 0 {
						dst = batch[:1+r.IntN(30)]
					}
					n, err := q.NextN(t.Context(), dst)
					if err != nil || n != len(dst) {
						t.Errorf("NextN = %d, %v", n, err)
						return
					}
					own = append(own, dst...)
				}
				for i := 1; i < len(own); i++ {
					if own[i] <= own[i-1] {
						t.Errorf("process %d: %d follows %d", p, own[i], own[i-1])
						return
					}
				}
				mu.Lock()
				all = append(all, own...)
				mu.Unlock()
			})
		}
	}
	wg.Wait()
	days := map[bool]int{}
	for _, id := range all {
		p, err := SplitDaily(id, testEpoch)
		if err != nil {
			t.Fatal(err)
		}
		days[p.Time.Before(midnight)]++
	}
	if days[true] == 0 || days[false] == 0 {
		t.Errorf("all IDs on one side of midnight: %v", days)
	}
	slices.Sort(all)
	if n := len(all) - len(slices.Compact(all)); n != 0 {
		t.Errorf("%d duplicates", n)
	}
}

func TestDailyNextDoesNotAllocate(t *testing.T) {
	_, rdb := newRedis(t, noon)
	q := newDaily(t, rdb, Clock(newClock(noon).now), Segment(MaxSegment, MaxSegment))
	mustNext(t, q)
	if n := testing.AllocsPerRun(1000, func() { q.Next(t.Context()) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkDailySequence(b *testing.B) {
	_, rdb := newRedis(b, time.Time{})
	q := newDaily(b, rdb, Segment(MaxSegment, MaxSegment))
	ctx := b.Context()
	b.Run("next", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			q.Next(ctx)
		}
	})
	b.Run("next/parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				q.Next(ctx)
			}
		})
	})
	b.Run("batch=1000", func(b *testing.B) {
		batch := make([]ID, 1000)
		for b.Loop() {
			q.NextN(ctx, batch)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch)), "ns/id")
	})
}
