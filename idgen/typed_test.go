package idgen

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// counter is a generator that notes what it is asked for. It fails at limit.
type counter struct {
	last, limit ID
	asked       []int
}

func (c *counter) Next(ctx context.Context) (ID, error) {
	var one [1]ID
	_, err := c.NextN(ctx, one[:])
	return one[0], err
}

func (c *counter) NextN(_ context.Context, dst []ID) (int, error) {
	c.asked = append(c.asked, len(dst))
	for i := range dst {
		if c.last == c.limit {
			return i, ErrSequenceExhausted
		}
		c.last++
		dst[i] = c.last
	}
	return len(dst), nil
}

func TestTypedMakesTheIDsOfItsGenerator(t *testing.T) {
	numbers := &counter{limit: 1e6}
	orders, err := NewTyped[ofOrd](numbers)
	if err != nil {
		t.Fatal(err)
	}
	var id TypedID[ofOrd, ID]
	if id, err = orders.Next(t.Context()); err != nil || id.String() != "ord_0000000000001" {
		t.Errorf("%v, %v; want ord_0000000000001", id, err)
	}
	// One call of the generator each, also for what is longer than the buffer that
	// is kept.
	numbers.asked = nil
	sizes := []int{3, 0, 100, 5, maxScratch + 1, 2}
	want := ID(2)
	for _, n := range sizes {
		ids := make([]TypedID[ofOrd, ID], n)
		if made, err := orders.NextN(t.Context(), ids); made != n || err != nil {
			t.Fatalf("NextN(%d) = %d, %v", n, made, err)
		}
		for _, id := range ids {
			if id.Raw() != want {
				t.Fatalf("%v, want the ID %d", id, int64(want))
			}
			want++
		}
	}
	if !slices.Equal(numbers.asked, sizes) {
		t.Errorf("the generator was asked for %v, want %v", numbers.asked, sizes)
	}
}

func TestTypedKeepsWhatWasMadeBeforeAnError(t *testing.T) {
	orders, err := NewTyped[ofOrd](&counter{limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	untouched := AsTyped[ofOrd](ID(99))
	ids := slices.Repeat([]TypedID[ofOrd, ID]{untouched}, 5)
	if n, err := orders.NextN(t.Context(), ids); n != 3 || !errors.Is(err, ErrSequenceExhausted) {
		t.Errorf("NextN = %d, %v; want 3 and ErrSequenceExhausted", n, err)
	}
	if ids[2].Raw() != 3 || ids[3] != untouched {
		t.Errorf("%v: want three new ones and the others untouched", ids)
	}
	if id, err := orders.Next(t.Context()); !errors.Is(err, ErrSequenceExhausted) || id.Raw() != 0 {
		t.Errorf("Next = %v, %v; want the zero value and ErrSequenceExhausted", id, err)
	}
}

func TestNewTypedRefusesAnInvalidPrefixAndNoGenerator(t *testing.T) {
	if g, err := NewTyped[ofInvalid](&UUIDv7{}); g != nil || !errors.Is(err, ErrOption) {
		t.Errorf("%v, %v; want ErrOption", g, err)
	}
	if g, err := NewTyped[ofOrd, ID](nil); g != nil || !errors.Is(err, ErrOption) {
		t.Errorf("%v, %v; want ErrOption", g, err)
	}
}

func TestConcurrentTypedIDsAreUniqueAndRisePerGoroutine(t *testing.T) {
	const goroutines, batches, each = 8, 200, 50
	orders, err := NewTyped[ofOrd](&UUIDv7{})
	if err != nil {
		t.Fatal(err)
	}
	ids := make([][]TypedID[ofOrd, uuid.UUID], goroutines)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			ids[i] = make([]TypedID[ofOrd, uuid.UUID], batches*each)
			for batch := range slices.Chunk(ids[i], each) {
				orders.NextN(t.Context(), batch)
			}
		})
	}
	wg.Wait()
	seen := make(map[TypedID[ofOrd, uuid.UUID]]bool)
	for _, run := range ids {
		if !slices.IsSortedFunc(run, func(a, b TypedID[ofOrd, uuid.UUID]) int { return bytes.Compare(a.raw[:], b.raw[:]) }) {
			t.Error("not rising")
		}
		for _, id := range run {
			seen[id] = true
		}
	}
	if len(seen) != goroutines*batches*each {
		t.Errorf("%d duplicates", goroutines*batches*each-len(seen))
	}
}

// sameUUID is a generator that allocates nothing, with the race detector neither.
type sameUUID struct{}

func (sameUUID) Next(context.Context) (uuid.UUID, error) { return sampleUUID, nil }
func (sameUUID) NextN(_ context.Context, dst []uuid.UUID) (int, error) {
	for i := range dst {
		dst[i] = sampleUUID
	}
	return len(dst), nil
}

func TestTypedIDsAreMadeWithoutAllocating(t *testing.T) {
	orders, err := NewTyped[ofOrd](sameUUID{})
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]TypedID[ofOrd, uuid.UUID], 100)
	ctx := t.Context()
	for name, f := range map[string]func(){
		"Next":  func() { batch[0], _ = orders.Next(ctx) },
		"NextN": func() { orders.NextN(ctx, batch) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func BenchmarkTyped(b *testing.B) {
	v7 := &UUIDv7{}
	orders, err := NewTyped[ofOrd](v7)
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	b.Run("Next", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			orders.Next(ctx)
		}
	})
	b.Run("Next/untyped", func(b *testing.B) {
		for b.Loop() {
			uuidSink, _ = v7.Next(ctx)
		}
	})
	batch, raw := make([]TypedID[ofOrd, uuid.UUID], 1000), make([]uuid.UUID, 1000)
	perID := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch)), "ns/id")
	}
	b.Run("batch=1000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			orders.NextN(ctx, batch)
		}
		perID(b)
	})
	b.Run("batch=1000/untyped", func(b *testing.B) {
		for b.Loop() {
			v7.NextN(ctx, raw)
		}
		perID(b)
	})
}
