package locktest_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

const key = "order:7"

func acquire(t *testing.T, l core.Locker, ctx context.Context, opts ...core.AcquireOption) core.Lock {
	t.Helper()
	lock, err := l.Acquire(ctx, key, opts...)
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	return lock
}

func release(t *testing.T, lock core.Lock) {
	t.Helper()
	if err := lock.Release(context.Background()); err != nil {
		t.Errorf("Release = %v; want nil", err)
	}
}

// attempt is an Acquire in the background. Its results may be read once Wait
// has been called after it has ended.
type attempt struct {
	lock core.Lock
	err  error
	done chan struct{}
}

// inLine starts an Acquire and returns when it stands in line. Only inside a
// bubble.
func inLine(f *locktest.Fake, ctx context.Context, opts ...core.AcquireOption) *attempt {
	a := &attempt{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.lock, a.err = f.Acquire(ctx, key, opts...)
	}()
	synctest.Wait()
	return a
}

func (a *attempt) over() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

func TestOnlyOneHoldsAKey(t *testing.T) {
	f := locktest.New()
	const callers, rounds = 16, 50
	var inside atomic.Int32
	var wg sync.WaitGroup
	var last uint64 // guarded by the lock under test
	for range callers {
		wg.Go(func() {
			for range rounds {
				lock, err := f.Acquire(t.Context(), key)
				if err != nil {
					t.Errorf("Acquire: %v", err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d hold the key", n)
				}
				if lock.Token() <= last {
					t.Errorf("token %d after %d", lock.Token(), last)
				}
				last = lock.Token()
				inside.Add(-1)
				if err := lock.Release(t.Context()); err != nil {
					t.Errorf("Release: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if f.Held(key) || f.Waiting(key) != 0 {
		t.Errorf("held: %t, waiting: %d after all were done", f.Held(key), f.Waiting(key))
	}
}

func TestKeysDoNotHinderEachOther(t *testing.T) {
	f := locktest.New()
	f.Hold("another")
	release(t, acquire(t, f, t.Context(), core.Wait(0)))
}

func TestTheLineIsFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := locktest.New()
		free := f.Hold(key)
		var line []*attempt
		for range 5 {
			line = append(line, inLine(f, t.Context()))
		}
		if n := f.Waiting(key); n != len(line) {
			t.Fatalf("Waiting = %d; want %d", n, len(line))
		}
		free()
		for i, a := range line {
			synctest.Wait()
			for j, other := range line {
				if other.over() != (j <= i) {
					t.Fatalf("after %d releases, caller %d is granted: %t", i+1, j, other.over())
				}
			}
			if a.err != nil {
				t.Fatal(a.err)
			}
			release(t, a.lock)
		}
		if f.Held(key) {
			t.Error("the key is held after the last release")
		}
	})
}

func TestInfoTellsHowTheLockWasObtained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := locktest.New(core.TTL(3 * time.Second))
		begin := time.Now()
		elsewhere := f.Hold(key, core.WithMeta(core.Meta{Service: "elsewhere"}))
		time.Sleep(time.Second)
		first := inLine(f, t.Context(), core.WithMeta(core.Meta{RequestID: "first"}))
		second := inLine(f, t.Context(), core.TTL(5*time.Second))
		time.Sleep(time.Second)
		elsewhere()
		synctest.Wait()
		release(t, first.lock)
		synctest.Wait()
		release(t, second.lock)
		free := acquire(t, f, t.Context())
		defer release(t, free)

		holder := core.Holder{Meta: core.Meta{Service: "elsewhere"}, Since: begin}
		one := core.Holder{Meta: core.Meta{RequestID: "first"}, Since: begin.Add(time.Second)}
		for _, c := range []struct {
			name                 string
			got, want            core.Info
			blocker, predecessor *core.Holder
		}{
			{"handed over by another process", first.lock.Info(), core.Info{
				Waited: time.Second, Contended: true, Position: 1, Handoff: core.HandoffRemote, LeaseTTL: 3 * time.Second,
			}, &holder, &holder},
			{"handed over by this process", second.lock.Info(), core.Info{
				Waited: time.Second, Contended: true, Position: 2, Handoff: core.HandoffLocal, LeaseTTL: 5 * time.Second,
			}, &holder, &one},
			{"free", free.Info(), core.Info{LeaseTTL: 3 * time.Second}, nil, nil},
		} {
			sameHolder(t, c.name+": Blocker", c.got.Blocker, c.blocker)
			sameHolder(t, c.name+": Predecessor", c.got.Predecessor, c.predecessor)
			c.got.Blocker, c.got.Predecessor = nil, nil
			if c.got != c.want {
				t.Errorf("%s: Info = %+v; want %+v", c.name, c.got, c.want)
			}
		}
	})
}

func sameHolder(t *testing.T, what string, got, want *core.Holder) {
	t.Helper()
	if (got == nil) != (want == nil) || got != nil && *got != *want {
		t.Errorf("%s = %+v; want %+v", what, got, want)
	}
}

// inLineObserver counts the waits that it is told of.
type inLineObserver struct {
	core.NopObserver
	waits atomic.Int32
}

func (o *inLineObserver) Waiting(context.Context, core.Attempt) { o.waits.Add(1) }

func TestAnObserverHearsOfWaitsAndOfNothingElseInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := locktest.New()
		var o inLineObserver
		l := core.Observe(f, &o)
		free := f.Hold(key)
		if _, err := l.Acquire(t.Context(), key, core.Wait(0)); err == nil {
			t.Fatal("two holders")
		}
		if n := o.waits.Load(); n != 0 {
			t.Errorf("one that is refused at once is told to wait, %d times", n)
		}
		granted := make(chan core.Lock, 1)
		go func() {
			lock, _ := l.Acquire(t.Context(), key)
			granted <- lock
		}()
		synctest.Wait()
		if n := o.waits.Load(); n != 1 {
			t.Errorf("told of %d waits, want 1", n)
		}
		free()
		release(t, <-granted)
		release(t, acquire(t, l, t.Context()))
		if n := o.waits.Load(); n != 1 {
			t.Errorf("told of %d waits in the end, want 1", n)
		}
	})
}

// slow is an observer that takes its time.
type slow struct{ inLineObserver }

func (o *slow) Waiting(ctx context.Context, a core.Attempt) {
	time.Sleep(time.Second)
	o.inLineObserver.Waiting(ctx, a)
}

// A test that has awaited a waiter may read the metrics.
func TestWhoIsAwaitedInLineHasBeenObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := locktest.New()
		var o slow
		free := f.Hold(key)
		granted := make(chan core.Lock, 1)
		go func() {
			lock, _ := core.Observe(f, &o).Acquire(t.Context(), key)
			granted <- lock
		}()
		if err := f.AwaitWaiting(t.Context(), key, 1); err != nil {
			t.Fatal(err)
		}
		if n := o.waits.Load(); n != 1 {
			t.Errorf("in line, and its observer has heard of %d waits", n)
		}
		free()
		release(t, <-granted)
	})
}
