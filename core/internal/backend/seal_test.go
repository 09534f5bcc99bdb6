package backend

import (
	"math"
	"testing"
)

func TestASealedNumberIsOpenedByItsOwnKeyAlone(t *testing.T) {
	s, other := NewSealer(), NewSealer()
	seen := map[uint64]bool{}
	for _, n := range []uint64{0, 1, 2, 3, 255, 1 << 31, 1 << 32, 1<<32 + 1, 1 << 63, math.MaxUint64} {
		sealed := s.Seal(n)
		if got := s.Open(sealed); got != n {
			t.Errorf("%d is opened as %d", n, got)
		}
		if sealed == n || other.Open(sealed) == n {
			t.Errorf("%d can be read without the key", n)
		}
		if seen[sealed] {
			t.Errorf("%d is sealed as another was", n)
		}
		seen[sealed] = true
	}
}

// What a guess opens as is far beyond what any process has counted.
func TestAGuessIsNoNumberThatWasCounted(t *testing.T) {
	s := NewSealer()
	for guess := range uint64(100_000) {
		if n := s.Open(guess); n < 1<<20 {
			t.Fatalf("%d is opened as %d", guess, n)
		}
	}
}

func FuzzSealer(f *testing.F) {
	s := NewSealer()
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, n uint64) {
		if s.Open(s.Seal(n)) != n || s.Seal(s.Open(n)) != n {
			t.Errorf("%d", n)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	s := NewSealer()
	b.ReportAllocs()
	for n := range uint64(b.N) {
		s.Seal(n)
	}
}
