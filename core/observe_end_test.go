package core

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// remoteEntry is the lease of key as it stands in Redis.
func remoteEntry(b *bubble, key string) backend.Entry { return backend.Entry(b.lease(key)) }

// severed lets no operation through any more.
func severed(operation, func() error) error { return io.EOF }

// only fails the test unless exactly one end was told, with err, after held.
func (r *recorder) only(t *testing.T, held time.Duration, err error) {
	t.Helper()
	ends := r.released()
	if len(ends) != 1 || ends[0].Err != err || ends[0].Held != held {
		t.Errorf("ends %+v, want one after %v with %v", ends, held, err)
	}
}

func TestALossIsToldWhenItHappensEvenIfNobodyReleases(t *testing.T) {
	observed(t, func(t *testing.T, b *bubble, r *recorder, build func(...Option) (Locker, *path)) {
		l, p := build(TTL(3 * time.Second))
		k, err := l.Acquire(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		p.via(severed)
		elapse(time.Minute)
		const validity = 2968 * time.Millisecond // less 1 % and 2 ms
		r.only(t, validity, ErrLost)
		p.via(nil)
		if err := k.Release(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("Release: %v", err)
		}
		r.only(t, validity, ErrLost)
	})
}

func TestAnOverstayIsToldWhenItHappens(t *testing.T) {
	observed(t, func(t *testing.T, b *bubble, r *recorder, build func(...Option) (Locker, *path)) {
		l, _ := build(MaxHold(2 * time.Second))
		k, err := l.Acquire(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		elapse(time.Minute)
		r.only(t, 2*time.Second, ErrMaxHold)
		_ = k.Release(t.Context())
		r.only(t, 2*time.Second, ErrMaxHold)
	})
}

func TestAReleaseIsToldOnce(t *testing.T) {
	observed(t, func(t *testing.T, b *bubble, r *recorder, build func(...Option) (Locker, *path)) {
		l, _ := build()
		k, err := l.Acquire(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		elapse(time.Second)
		if err := k.Release(t.Context()); err != nil {
			t.Error(err)
		}
		elapse(time.Second)
		if err := k.Release(t.Context()); !errors.Is(err, ErrReleased) {
			t.Errorf("second Release: %v", err)
		}
		r.only(t, time.Second, nil)
	})
}

// The time that the release takes is not the holder's.
func TestAHoldEndsWithTheCallOfRelease(t *testing.T) {
	observed(t, func(t *testing.T, b *bubble, r *recorder, build func(...Option) (Locker, *path)) {
		l, p := build()
		k, err := l.Acquire(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		elapse(time.Second)
		p.via(func(_ operation, call func() error) error {
			time.Sleep(500 * time.Millisecond)
			return call()
		})
		if err := k.Release(t.Context()); err != nil {
			t.Error(err)
		}
		r.only(t, time.Second, nil)
	})
}

// Only Redis knew.
func TestALossThatTheReleaseFindsIsTold(t *testing.T) {
	observed(t, func(t *testing.T, b *bubble, r *recorder, build func(...Option) (Locker, *path)) {
		l, _ := build(TTL(time.Hour))
		k, err := l.Acquire(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		b.srv.FlushAll()
		if err := k.Release(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("Release: %v", err)
		}
		r.only(t, 0, ErrLost)
	})
}

func TestASecondReleaseDoesNotTellTheEndBeforeTheFirstKnowsIt(t *testing.T) {
	for name, end := range map[string]error{"given back": nil, "lost": ErrLost} {
		t.Run(name, func(t *testing.T) {
			observed(t, func(t *testing.T, b *bubble, r *recorder, build func(...Option) (Locker, *path)) {
				l, p := build(TTL(time.Hour))
				k, err := l.Acquire(t.Context(), "k")
				if err != nil {
					t.Fatal(err)
				}
				if end != nil {
					b.srv.FlushAll()
				}
				p.via(func(_ operation, call func() error) error {
					time.Sleep(time.Second)
					return call()
				})
				first := background(func() error { return k.Release(t.Context()) })
				synctest.Wait()
				if err := k.Release(t.Context()); !errors.Is(err, ErrReleased) {
					t.Errorf("second: %v", err)
				}
				if told := r.released(); len(told) != 0 {
					t.Errorf("told already: %+v", told)
				}
				if err := <-first; !errors.Is(err, end) {
					t.Errorf("first: %v, want %v", err, end)
				}
				r.only(t, 0, end)
			})
		})
	}
}

// background runs f in the background.
func background(f func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- f() }()
	return c
}

// A context has one cause, and the request's own end may be it.
func TestALossAfterTheRequestsEndIsToldWithTheRelease(t *testing.T) {
	observed(t, func(t *testing.T, b *bubble, r *recorder, build func(...Option) (Locker, *path)) {
		l, _ := build(TTL(30 * time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		k, err := l.Acquire(ctx, "k")
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		synctest.Wait()
		if len(r.released()) != 0 {
			t.Error("the request's end was told as the lock's")
		}
		own, _ := k.Context().Value(heldContextKey{}).(*lock)
		lapse(own)
		_ = k.Release(ctx) // which does not wait
		r.only(t, 30*time.Second, ErrLost)
	})
}

// brittle is a lock that can be lost at any moment.
type brittle struct {
	ctx      context.Context
	cancel   context.CancelCauseFunc
	released atomic.Bool
}

func (k *brittle) Key() string              { return "k" }
func (k *brittle) Token() uint64            { return 1 }
func (k *brittle) Context() context.Context { return k.ctx }
func (k *brittle) Info() Info               { return Info{} }

func (k *brittle) Remaining() time.Duration {
	if k.ctx.Err() != nil {
		return 0
	}
	return time.Second
}

func (k *brittle) Release(context.Context) error {
	if !k.released.CompareAndSwap(false, true) {
		return ErrReleased
	}
	lost := stopCause(k.ctx)
	k.cancel(ErrReleased)
	return lost
}

func TestOneEndIsToldHoweverLossAndReleasesMeet(t *testing.T) {
	for range 2000 {
		r := &recorder{}
		k := &brittle{}
		l := Observe(lockerFunc(func(ctx context.Context, _ string, _ ...AcquireOption) (Lock, error) {
			k.ctx, k.cancel = context.WithCancelCause(ctx)
			return k, nil
		}), r)
		seen, err := l.Acquire(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { k.cancel(ErrLost) })
		wg.Go(func() { _ = seen.Release(t.Context()) })
		wg.Go(func() { _ = seen.Release(t.Context()) })
		wg.Wait()
		// A loss is told from a goroutine of its own.
		for len(r.released()) == 0 {
			runtime.Gosched()
		}
		want := stopCause(k.ctx)
		if ends := r.released(); len(ends) != 1 || ends[0].Err != want {
			t.Fatalf("ends %+v, want one with %v", ends, want)
		}
	}
}

// panicky is an observer with a bug.
type panicky struct{ NopObserver }

func (panicky) Acquired(context.Context, Attempt, AcquireResult) { panic("a bug") }

func TestAnAcquisitionThatDoesNotReturnIsToldToHaveFailed(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		r := &recorder{}
		l, _ := b.locker(WithObserver(panickyInLine{}))
		holder := mustOwn(t, l, "k")
		func() {
			defer func() { _ = recover() }()
			_, _ = Observe(l, r).Acquire(t.Context(), "k")
		}()
		if o := r.outcomes; len(o) != 1 || o[0].Err == nil || o[0].Token != 0 {
			t.Errorf("outcomes %+v, want one, with an error", o)
		}
		free(t, holder)
	})
}

func TestAnObserverThatPanicsDoesNotKeepTheLock(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker(WithObserver(panicky{}))
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_, _ = l.Acquire(t.Context(), "k")
		}()
		synctest.Wait()
		if got := b.lease("k"); got != "" {
			t.Errorf("the lease is still there: %q", got)
		}
	})
}

// leisurely is a recorder that takes its time over the end of a hold.
type leisurely struct {
	*recorder
	takes time.Duration
}

func (o leisurely) Released(ctx context.Context, a Attempt, r HoldResult) {
	time.Sleep(o.takes)
	o.recorder.Released(ctx, a, r)
}

// Else the spans of those who were cut off would end after the tracer.
func TestAClosedLockerHasToldOfAllThatItCutOff(t *testing.T) {
	for _, c := range []struct {
		name        string
		takes, most time.Duration
		told        int
	}{
		{"an observer that takes its time", 300 * time.Millisecond, 300 * time.Millisecond, 3},
		{"an observer that hangs", time.Hour, closeGrace + 100*time.Millisecond, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				r := &recorder{}
				l, _ := b.locker(WithObserver(leisurely{r, c.takes}))
				for _, key := range []string{"1", "2", "3"} {
					if _, err := l.Acquire(t.Context(), key); err != nil {
						t.Fatal(err)
					}
				}
				start := time.Now()
				if err := l.Close(); err == nil {
					t.Error("nobody was cut off")
				}
				if took := time.Since(start); took > c.most {
					t.Errorf("Close took %v, want %v at the most", took, c.most)
				}
				if n := len(r.released()); n != c.told {
					t.Errorf("%d ends were told, want %d", n, c.told)
				}
				time.Sleep(c.takes)
			})
		})
	}
}

type blockingObserver struct {
	NopObserver
	block chan struct{}
}

func (o blockingObserver) Released(context.Context, Attempt, HoldResult) { <-o.block }

func TestASlowObserverDoesNotDelayOthersDeadlines(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		o := blockingObserver{block: make(chan struct{})}
		l, p := b.locker(WithObserver(o), TTL(3*time.Second))
		k1, err := l.Acquire(t.Context(), "k1")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		k2, err := l.Acquire(t.Context(), "k2")
		if err != nil {
			t.Fatal(err)
		}
		p.via(severed)
		elapse(4 * time.Second)
		if k1.Context().Err() == nil {
			t.Error("k1 not lost")
		}
		if k2.Context().Err() == nil {
			t.Error("k2 not lost")
		}
		close(o.block)
		p.via(nil)
		elapse(time.Minute)
	})
}
