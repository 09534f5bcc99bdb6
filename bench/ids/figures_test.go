package main

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheRatesOfAllCallersAddUp(t *testing.T) {
	f := newFigures([]share{{ids: 1000, elapsed: 10 * time.Microsecond}, {ids: 3000, elapsed: 10 * time.Microsecond}}, 2000, 1.5)
	if math.Abs(f.Each-2.5) > 1e-9 || math.Abs(f.rate()-4e8) > 1 || math.Abs(f.cpu()-3.75) > 1e-9 {
		t.Errorf("%v ns per ID, %v/s, %v ns of CPU; want 2.5, 4e8 and 3.75", f.Each, f.rate(), f.cpu())
	}
	if f.Allocs != 0.5 {
		t.Errorf("%v allocations per ID, want 0.5", f.Allocs)
	}
}

func TestMediansAreOfEachFigure(t *testing.T) {
	m := medians([]*figures{{Each: 5, Allocs: 0, Cores: 2}, {Each: 1, Allocs: 1, Cores: 9}, {Each: 2, Allocs: 2, Cores: 1}})
	if m.Each != 2 || m.Allocs != 1 || m.Cores != 2 {
		t.Errorf("%+v", *m)
	}
}

func TestEveryCallerMakesIDsUntilTheTimeIsOver(t *testing.T) {
	const d = 5 * time.Millisecond
	shares, err := callers(func(n int) error {
		if n%batch != 0 {
			t.Errorf("asked for %d IDs, which are no whole batches", n)
		}
		return nil
	}, 3, d)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shares {
		if s.ids == 0 || s.elapsed < d {
			t.Errorf("%d IDs in %v; want some, in %v", s.ids, s.elapsed, d)
		}
	}
}

func TestAnErrorEndsTheMeasurement(t *testing.T) {
	broken := errors.New("broken")
	m := maker{one: func(int) error { return broken }}
	for _, s := range []scenario{{Callers: 2}, {Callers: 2, Sustained: true}} {
		if _, err := m.time(s, time.Hour); !errors.Is(err, broken) {
			t.Errorf("%+v: %v, want %v", s, err, broken)
		}
	}
}

func TestASustainedRateIsMeasuredAfterTheStock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pause = 10 * time.Millisecond // for each chunk: slower than any layout
		made := 0
		call := func(n int) error {
			time.Sleep(pause)
			made += n
			return nil
		}
		m := maker{stock: int(exhausting/pause)*chunk + chunk}
		if err := m.warmUp(call, scenario{Callers: 1, Sustained: true}, 0); err != nil || made < m.stock {
			t.Errorf("%d IDs were made, %v; want %d, though it is slow from the start", made, err, m.stock)
		}
	})
}

func TestWhatNeverSlowsDownHasNoSustainedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		call := func(int) error {
			time.Sleep(time.Millisecond) // 10 million IDs a second
			return nil
		}
		if err := (maker{}).warmUp(call, scenario{Callers: 1, Sustained: true}, 0); err == nil {
			t.Error("no error")
		}
	})
}
