package idgen

import (
	"bytes"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestUUIDsHaveTheirVersionAndVariant(t *testing.T) {
	for version, g := range map[uuid.Version]Generator[uuid.UUID]{4: &UUIDv4{}, 7: &UUIDv7{}} {
		ids := make([]uuid.UUID, 500)
		if n, err := g.NextN(t.Context(), ids); n != len(ids) || err != nil {
			t.Fatalf("NextN = %d, %v", n, err)
		}
		one, err := g.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range append(ids, one) {
			if id.Version() != version || id.Variant() != uuid.RFC4122 {
				t.Fatalf("%v is version %d, variant %v; want %d, RFC 4122", id, id.Version(), id.Variant(), version)
			}
		}
		if n, err := g.NextN(t.Context(), nil); n != 0 || err != nil {
			t.Errorf("NextN of nothing = %d, %v", n, err)
		}
	}
}

// Every bit that is not fixed takes both values in 500 UUIDs, but for a chance
// of 2^-499 each.
func TestEveryRandomBitOfAUUIDVaries(t *testing.T) {
	frozen := &UUIDv7{now: func() int64 { return 1 }}
	for name, c := range map[string]struct {
		g    Generator[uuid.UUID]
		from int // the first byte that is all random
	}{"v4": {&UUIDv4{}, 9}, "v7": {frozen, 9}} {
		ids := make([]uuid.UUID, 500)
		if _, err := c.g.NextN(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
		var ones, zeros uuid.UUID
		for _, id := range ids {
			for i, b := range id {
				ones[i] |= b
				zeros[i] |= ^b
			}
		}
		for i := c.from; i < 16; i++ {
			if ones[i] != 0xff || zeros[i] != 0xff {
				t.Errorf("%s: byte %d has bits that never change: %08b", name, i, ^(ones[i] & zeros[i]))
			}
		}
	}
}

func TestUUIDv7CarriesTheMillisecond(t *testing.T) {
	for _, at := range []time.Time{
		time.Unix(0, 0),
		time.Date(2026, 11, 23, 14, 0, 0, 123_999_999, time.UTC),
		time.Date(2026, 11, 23, 14, 0, 0, 124_000_000, time.UTC),
		time.Date(2200, 1, 1, 0, 0, 0, 999_999_999, time.UTC),
	} {
		g := &UUIDv7{now: at.UnixNano}
		id, _ := g.Next(t.Context())
		if got := time.Unix(id.Time().UnixTime()).UnixMilli(); got != at.UnixMilli() && at.Unix() > 0 {
			t.Errorf("%v made at %v carries %v", id, at, time.UnixMilli(got).UTC())
		}
		if got := int64(tick(at.UnixNano()) >> fractionBits); got != at.UnixMilli() {
			t.Errorf("tick at %v is in millisecond %d, want %d", at, got, at.UnixMilli())
		}
	}
	before := &UUIDv7{now: func() int64 { return -5e9 }}
	if id, _ := before.Next(t.Context()); !bytes.Equal(id[:6], make([]byte, 6)) {
		t.Errorf("before 1970: %v, want the milliseconds 0", id)
	}
}

func TestUUIDv7RisesWhileTheClockStandsStillOrGoesBack(t *testing.T) {
	clock := newClock(time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC))
	g := &UUIDv7{now: func() int64 { return clock.now().UnixNano() }}
	last, _ := g.Next(t.Context())
	const many, few = 300_000, 1000 // more than a millisecond's ticks, and less
	for _, c := range []struct {
		step time.Duration
		ids  int
	}{
		{0, many}, {time.Nanosecond, few}, {0, few}, {time.Millisecond, few}, {-time.Hour, many},
		{0, few}, {-time.Second, few}, {2 * time.Hour, few}, {0, few},
	} {
		step := c.step
		clock.advance(step)
		for range c.ids {
			id, _ := g.Next(t.Context())
			if bytes.Compare(id[:], last[:]) <= 0 {
				t.Fatalf("after a step of %v: %v follows %v", step, id, last)
			}
			last = id
		}
	}
}

func TestUUIDv7BatchIsContiguous(t *testing.T) {
	g := &UUIDv7{now: func() int64 { return 5e18 }}
	var wg sync.WaitGroup
	batches := make([][]uuid.UUID, 8)
	for i := range batches {
		wg.Go(func() {
			batches[i] = make([]uuid.UUID, 1000)
			g.NextN(t.Context(), batches[i])
		})
	}
	wg.Wait()
	slices.SortFunc(batches, func(a, b []uuid.UUID) int { return bytes.Compare(a[0][:], b[0][:]) })
	all := slices.Concat(batches...)
	if !slices.IsSortedFunc(all, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }) {
		t.Error("UUIDs of one batch lie between those of another")
	}
}

func TestConcurrentUUIDsAreUniqueAndRisePerGoroutine(t *testing.T) {
	const goroutines, each = 8, 20_000
	for name, g := range map[string]Generator[uuid.UUID]{"v4": &UUIDv4{}, "v7": &UUIDv7{}} {
		ids := make([][]uuid.UUID, goroutines)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				for range each {
					id, _ := g.Next(t.Context())
					ids[i] = append(ids[i], id)
				}
			})
		}
		wg.Wait()
		seen := make(map[uuid.UUID]bool, goroutines*each)
		for _, run := range ids {
			if name == "v7" && !slices.IsSortedFunc(run, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }) {
				t.Errorf("%s: not rising", name)
			}
			for _, id := range run {
				seen[id] = true
			}
		}
		if len(seen) != goroutines*each {
			t.Errorf("%s: %d duplicates", name, goroutines*each-len(seen))
		}
	}
}

func TestUUIDsAreMadeWithoutAllocating(t *testing.T) {
	v4, v7 := &UUIDv4{}, &UUIDv7{}
	batch := make([]uuid.UUID, 100)
	for name, f := range map[string]func(){
		"v4":       func() { v4.Next(t.Context()) },
		"v7":       func() { v7.Next(t.Context()) },
		"v7 batch": func() { v7.NextN(t.Context(), batch) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

var uuidSink uuid.UUID

func BenchmarkUUID(b *testing.B) {
	v4, v7 := &UUIDv4{}, &UUIDv7{}
	ctx := b.Context()
	for _, c := range []struct {
		name string
		f    func() (uuid.UUID, error)
	}{
		{"v7/idgen", func() (uuid.UUID, error) { return v7.Next(ctx) }},
		{"v7/google", uuid.NewV7},
		{"v4/idgen", func() (uuid.UUID, error) { return v4.Next(ctx) }},
		{"v4/google", uuid.NewRandom},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				uuidSink, _ = c.f()
			}
		})
		b.Run(c.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					c.f()
				}
			})
		})
	}
	b.Run("v7/idgen/batch=1000", func(b *testing.B) {
		batch := make([]uuid.UUID, 1000)
		for b.Loop() {
			v7.NextN(ctx, batch)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch)), "ns/id")
	})
}
