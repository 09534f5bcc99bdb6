package core_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// With a client that heeds deadlines, operations travel in the callers'
// goroutines.
func TestWithRedisStoppedACallerOfAHeedingClientIsHardlyLate(t *testing.T) {
	srv := locktest.StartRedis(t)
	l := newLocker(t, srv.Client(&redis.Options{ContextTimeoutEnabled: true}), core.TTL(time.Minute))
	atBest(t, "after its cancellation", 30*time.Millisecond, func() time.Duration {
		stopAnew(t, srv, l)
		defer srv.Continue()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		time.AfterFunc(time.Millisecond, cancel)
		_, err := l.Acquire(ctx, "k")
		late := time.Since(start) - time.Millisecond
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Acquire: %v, want context.Canceled", err)
		}
		return late
	})
	// What was sent and given up is undone.
	lock := must[core.Lock](t)(l.Acquire(t.Context(), "k", core.Wait(20*time.Second)))
	if err := lock.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// What is sent when Redis stops is done when it goes on, the second attempt with
// the first.
func TestAnOperationThatIsMadeTwiceIsDoneOnce(t *testing.T) {
	t.Parallel()
	srv := locktest.StartRedis(t)
	l := newLocker(t, srv.Client(&redis.Options{ContextTimeoutEnabled: true}))
	other := newLocker(t, srv.Client(nil))
	var last uint64
	for i := range 5 {
		stopAnew(t, srv, l)
		time.AfterFunc(100*time.Millisecond, srv.Continue)
		start := time.Now()
		lock, err := l.Acquire(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); lock.Remaining() > 10*time.Second-took {
			t.Errorf("%v remaining of 10s, %v after the first attempt", lock.Remaining(), took)
		}
		if _, err := other.TryAcquire(t.Context(), "k"); !errors.Is(err, core.ErrHeld) {
			t.Errorf("another: %v, want ErrHeld", err)
		}
		srv.Stop()
		time.AfterFunc(100*time.Millisecond, srv.Continue)
		if err := lock.Release(t.Context()); err != nil {
			t.Errorf("%d: Release: %v", i, err)
		}
		next := must[core.Lock](t)(other.Acquire(t.Context(), "k"))
		if lock.Token() <= last || next.Token() <= lock.Token() {
			t.Errorf("tokens %d, %d, %d", last, lock.Token(), next.Token())
		}
		last = next.Token()
		if err := next.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
	onlyFences(t, srv.Client(nil))
}

func TestWithRedisStoppedAcquiresFailAtOnceUntilItGoesOn(t *testing.T) {
	t.Parallel()
	srv := locktest.StartRedis(t)
	l := newLocker(t, srv.Client(nil))
	warmUp(t, l)
	srv.Stop()
	if _, err := l.Acquire(t.Context(), "k"); !errors.Is(err, core.ErrBackend) {
		t.Errorf("the first: %v, want ErrBackend", err)
	}
	for i := range 20 {
		start := time.Now()
		_, err := l.Acquire(t.Context(), fmt.Sprint("k", i))
		// Who waits for an answer does so for 2 s.
		if d := time.Since(start); !errors.Is(err, core.ErrBackend) || d > time.Second {
			t.Errorf("%v after %v, want ErrBackend at once", err, d)
		}
	}
	srv.Continue()
	back := time.Now()
	eventually(t, "it is back", func() bool {
		start := time.Now()
		lock, err := l.Acquire(t.Context(), "again")
		if d := time.Since(start); d > time.Second {
			t.Errorf("a caller waited for %v", d)
		}
		return err == nil && lock.Release(t.Context()) == nil
	})
	if d := time.Since(back); d > 5*time.Second { // it is probed each second
		t.Errorf("back after %v", d)
	}
}
