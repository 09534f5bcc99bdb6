package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// firstOnly grants each key once and never again.
type firstOnly struct{ taken sync.Map }

func (f *firstOnly) lock(ctx context.Context, key string) (func() error, error) {
	if _, taken := f.taken.LoadOrStore(key, true); taken {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return func() error { return nil }, nil
}
func (*firstOnly) close() {}

func TestWhoStarvesIsEndedAndNotCounted(t *testing.T) {
	w, _ := mapTwice(t, 1)
	r := workInBubble(t, &firstOnly{}, w, hot(1, 8, 0))
	sum := 0
	for _, n := range r.Acquired {
		sum += n
	}
	// The only acquisition may be of the warm-up.
	if sum > 1 || r.Errors > 0 || int(r.Wait.n) != sum {
		t.Errorf("acquired %v, %d errors, %d waits", r.Acquired, r.Errors, r.Wait.n)
	}
}

// failing has an error each time.
type failing struct{ calls atomic.Int64 }

var errBroken = errors.New("broken")

func (f *failing) lock(context.Context, string) (func() error, error) {
	f.calls.Add(1)
	return nil, errBroken
}
func (*failing) close() {}

func TestErrorsAreCountedAndTheFirstIsTold(t *testing.T) {
	w, _ := mapTwice(t, 1)
	l := &failing{}
	r := workInBubble(t, l, w, hot(1, 2, 0))
	if int64(r.Errors) != l.calls.Load() || r.Error != errBroken.Error() {
		t.Errorf("%d errors of %d calls, first: %q", r.Errors, l.calls.Load(), r.Error)
	}
}

// late grants when the callers are to stop, and notes whether anybody was in a
// section then.
type late struct {
	stopping *atomic.Bool
	unlocked int
}

func (l *late) lock(context.Context, string) (func() error, error) {
	l.stopping.Store(true)
	return func() error { l.unlocked++; return nil }, nil
}
func (*late) close() {}

func TestALockThatComesAfterTheEndIsGivenBackAtOnce(t *testing.T) {
	var stopping atomic.Bool
	var slot atomic.Uint64
	slot.Store(7) // any section would be an overlap
	l := &late{stopping: &stopping}
	c := &caller{id: 1, keys: []string{"k"}, slots: []*atomic.Uint64{&slot}, wait: new(histogram), cycle: new(histogram)}
	start := time.Now()
	c.run(t.Context(), l, func() time.Duration { return time.Since(start) }, window{}, &stopping)
	if l.unlocked != 1 || c.overlaps != 0 || c.acquired != 0 {
		t.Errorf("unlocked %d times, %d sections, %d counted; want 1, 0, 0", l.unlocked, c.overlaps, c.acquired)
	}
}

func TestCallersOfDistinctKeysShareNone(t *testing.T) {
	s := distinct(3)
	w, _ := mapTwice(t, s.slots())
	seen := map[string]bool{}
	for _, c := range (job{Scenario: s}).callers(w) {
		for _, k := range c.keys {
			if seen[k] {
				t.Errorf("%q is the key of two", k)
			}
			seen[k] = true
		}
	}
	if len(seen) != s.slots() {
		t.Errorf("%d keys; want %d", len(seen), s.slots())
	}
}
