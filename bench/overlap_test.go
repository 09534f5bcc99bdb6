package main

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// mapTwice returns two mappings of one file, as two processes have them.
func mapTwice(t *testing.T, slots int) (a, b *witness) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "witness")
	if err := newWitness(path, slots); err != nil {
		t.Fatal(err)
	}
	for _, w := range []**witness{&a, &b} {
		var err error
		if *w, err = openWitness(path); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*w).close() })
	}
	return a, b
}

func TestASecondHolderIsNoticedInAnotherProcess(t *testing.T) {
	here, there := mapTwice(t, 2)
	if !enter(here.slot(1), 1) {
		t.Fatal("the first holder is taken for a second one")
	}
	if enter(there.slot(1), 2) {
		t.Error("a second holder is not noticed")
	}
	if !enter(there.slot(0), 3) {
		t.Error("the holder of another key is taken for a second one")
	}
}

func TestHoldersInTurnAreNotOverlaps(t *testing.T) {
	here, there := mapTwice(t, 1)
	for i := range uint64(3) {
		for _, w := range []*witness{here, there} {
			if !enter(w.slot(0), i+1) {
				t.Fatal("a holder is noticed whose predecessor has left")
			}
			leave(w.slot(0), i+1)
		}
	}
}

func TestWhoWasOverrunDoesNotHideItsSuccessor(t *testing.T) {
	w, _ := mapTwice(t, 1)
	enter(w.slot(0), 1)
	enter(w.slot(0), 2) // noticed
	leave(w.slot(0), 1)
	if enter(w.slot(0), 3) {
		t.Error("a third holder is not noticed while the second is inside")
	}
}

// everybody is a lock that keeps nobody out.
type everybody struct{}

func (everybody) lock(context.Context, string) (func() error, error) {
	return func() error { return nil }, nil
}
func (everybody) close() {}

func TestALockThatLetsTwoInIsFoundOut(t *testing.T) {
	w, _ := mapTwice(t, 1)
	r := workInBubble(t, everybody{}, w, hot(1, 4, time.Millisecond))
	if r.Overlaps == 0 {
		t.Errorf("no overlap was seen in %v acquisitions", r.Acquired)
	}
}

func TestAMutexLetsNoTwoIn(t *testing.T) {
	w, _ := mapTwice(t, 1)
	l, _ := openMutex(circumstances{})
	// Who waits for a mutex stops a bubble's clock, so this is in real time: in one
	// run each must get in, and on a busy machine that may take some.
	var acquired []int
	for begun := time.Now(); len(acquired) == 0 || slices.Min(acquired) == 0; {
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("acquired: %v", acquired)
		}
		r := workFor(t, l, w, hot(1, 4, 0))
		if r.Overlaps > 0 || r.Errors > 0 {
			t.Fatalf("%d overlaps, %d errors", r.Overlaps, r.Errors)
		}
		acquired = r.Acquired
	}
}

// workInBubble runs the callers of one process for 50 ms of a bubble's time.
func workInBubble(t *testing.T, l locker, w *witness, s scenario) (r *workReport) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { r = workFor(t, l, w, s) })
	return r
}

// workFor runs the callers of one process for 50 ms.
func workFor(t *testing.T, l locker, w *witness, s scenario) *workReport {
	t.Helper()
	now := time.Now()
	r, err := work(job{Scenario: s}, schedule{now.Add(10 * time.Millisecond), now.Add(60 * time.Millisecond)}, l, w)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
