package locktest_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

func TestAcquireFailsWithTheErrorsOfCore(t *testing.T) {
	down := errors.New("connection refused")
	gone := errors.New("client gone")
	for name, c := range map[string]struct {
		prepare func(*locktest.Fake, context.Context) context.Context
		key     string
		opts    []core.AcquireOption
		want    error
		cause   error
		waited  time.Duration
		retry   time.Duration
		blocked bool
		others  int // in line
	}{
		"held, and the caller does not wait": {
			prepare: held, opts: []core.AcquireOption{core.Wait(0)},
			want: core.ErrHeld, retry: 4 * time.Second, blocked: true,
		},
		"held for the whole wait": {
			prepare: held, opts: []core.AcquireOption{core.Wait(7 * time.Second)},
			want: core.ErrWaitTimeout, waited: 7 * time.Second, retry: 4 * time.Second, blocked: true,
		},
		"line full": {
			prepare: func(f *locktest.Fake, ctx context.Context) context.Context {
				held(f, ctx)
				inLine(f, ctx)
				return ctx
			},
			opts: []core.AcquireOption{core.MaxWaiters(1)},
			want: core.ErrQueueFull, retry: 4 * time.Second, blocked: true, others: 1,
		},
		"backend down": {
			prepare: func(f *locktest.Fake, ctx context.Context) context.Context { f.FailBackend(down); return ctx },
			want:    core.ErrBackend, cause: down,
		},
		"backend goes down during the wait": {
			prepare: func(f *locktest.Fake, ctx context.Context) context.Context {
				time.AfterFunc(time.Second, func() { f.FailBackend(down) })
				return held(f, ctx)
			},
			want: core.ErrBackend, cause: down, waited: time.Second, blocked: true,
		},
		"closed": {
			prepare: func(f *locktest.Fake, ctx context.Context) context.Context { f.Close(); return ctx },
			want:    core.ErrClosed,
		},
		"closed during the wait": {
			prepare: func(f *locktest.Fake, ctx context.Context) context.Context {
				time.AfterFunc(time.Second, func() { f.Close() })
				return held(f, ctx)
			},
			want: core.ErrClosed, waited: time.Second, blocked: true,
		},
		"empty key":      {key: "-", want: core.ErrKey},
		"key too long":   {key: strings.Repeat("k", core.MaxKeyLen+1), want: core.ErrKey},
		"invalid option": {opts: []core.AcquireOption{core.TTL(0)}, want: core.ErrOption},
		"the context has ended": {
			prepare: func(_ *locktest.Fake, ctx context.Context) context.Context {
				ctx, cancel := context.WithCancelCause(ctx)
				cancel(gone)
				return ctx
			},
			want: context.Canceled, cause: gone,
		},
		"the context is cancelled during the wait": {
			prepare: func(f *locktest.Fake, ctx context.Context) context.Context {
				ctx, cancel := context.WithCancelCause(held(f, ctx))
				time.AfterFunc(time.Second, func() { cancel(gone) })
				return ctx
			},
			want: context.Canceled, cause: gone, waited: time.Second, retry: 4 * time.Second, blocked: true,
		},
		"the context's deadline passes during the wait": {
			prepare: func(f *locktest.Fake, ctx context.Context) context.Context {
				ctx, cancel := context.WithTimeout(held(f, ctx), time.Second)
				context.AfterFunc(ctx, cancel)
				return ctx
			},
			want: context.DeadlineExceeded, waited: time.Second, retry: 4 * time.Second, blocked: true,
		},
		"the call chain holds the key": {
			prepare: func(f *locktest.Fake, ctx context.Context) context.Context {
				outer, _ := f.Acquire(ctx, key)
				inner, _ := f.Acquire(outer.Context(), "another key")
				return inner.Context()
			},
			want: core.ErrSelfDeadlock,
		},
		"the call chain holds the key, observed": {
			prepare: func(f *locktest.Fake, ctx context.Context) context.Context {
				lock, _ := core.Observe(f, core.NopObserver{}).Acquire(ctx, key)
				return lock.Context()
			},
			want: core.ErrSelfDeadlock,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := locktest.New()
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				callerCtx := ctx
				if c.prepare != nil {
					callerCtx = c.prepare(f, ctx)
				}
				k := key
				if c.key != "" {
					k = strings.Trim(c.key, "-")
				}
				lock, err := f.Acquire(callerCtx, k, c.opts...)
				if lock != nil || !errors.Is(err, c.want) || c.cause != nil && !errors.Is(err, c.cause) {
					t.Fatalf("Acquire = %v, %v; want %v, %v", lock, err, c.want, c.cause)
				}
				ae, ok := errors.AsType[*core.AcquireError](err)
				if !ok || ae.Key != k || ae.Err != c.want {
					t.Fatalf("error = %#v; want an *AcquireError about %v", err, c.want)
				}
				if ae.Info.Waited != c.waited || ae.Info.RetryAfter != c.retry || (ae.Info.Blocker != nil) != c.blocked {
					t.Errorf("Info = %+v; want Waited %v, RetryAfter %v, a blocker: %t", ae.Info, c.waited, c.retry, c.blocked)
				}
				if n := f.Waiting(k); n != c.others {
					t.Errorf("%d are in line; want %d", n, c.others)
				}
			})
		})
	}
}

// held has somebody else hold the key, with 4 s left.
func held(f *locktest.Fake, ctx context.Context) context.Context {
	f.Hold(key, core.TTL(4*time.Second))
	return ctx
}

func TestWhoLeavesTheLineOwesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := locktest.New()
		free := f.Hold(key)
		ctx, cancel := context.WithCancel(t.Context())
		first, second := inLine(f, ctx), inLine(f, t.Context())
		cancel()
		synctest.Wait()
		if !errors.Is(first.err, context.Canceled) || second.over() || f.Waiting(key) != 1 {
			t.Fatalf("first: %v, second is over: %t, waiting: %d", first.err, second.over(), f.Waiting(key))
		}
		free()
		synctest.Wait()
		if second.err != nil {
			t.Fatal(second.err)
		}
		release(t, second.lock)
	})
}

// unnoticed is a context that has ended, if gone is set, before anybody is woken for
// it.
type unnoticed struct {
	context.Context
	gone atomic.Bool
}

func (c *unnoticed) Err() error {
	if c.gone.Load() {
		return context.Canceled
	}
	return c.Context.Err()
}

func TestACallerThatIsGoneWhenGrantedPassesTheLockOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := locktest.New()
		free := f.Hold(key)
		ctx := &unnoticed{Context: t.Context()}
		first, second := inLine(f, ctx), inLine(f, t.Context())
		ctx.gone.Store(true)
		free()
		synctest.Wait()
		if first.lock != nil || !errors.Is(first.err, context.Canceled) {
			t.Errorf("first = %v, %v; want context.Canceled", first.lock, first.err)
		}
		if second.err != nil {
			t.Fatal(second.err)
		}
		release(t, second.lock)
	})
}

func TestABackendThatRecoversGrantsAgain(t *testing.T) {
	f := locktest.New()
	holding := acquire(t, f, t.Context())
	f.FailBackend(errors.New("down"))
	release(t, holding) // holders are not concerned
	if _, err := f.Acquire(t.Context(), key); !errors.Is(err, core.ErrBackend) {
		t.Fatalf("Acquire = %v; want ErrBackend", err)
	}
	f.FailBackend(nil)
	release(t, acquire(t, f, t.Context()))
}

func TestAReleasedLockInTheContextIsNoDeadlock(t *testing.T) {
	f := locktest.New()
	lock := acquire(t, f, t.Context())
	ctx := context.WithoutCancel(lock.Context())
	release(t, lock)
	release(t, acquire(t, f, ctx))
}

// As the real one, see core.Locker.
func TestACancellationAtTheDeadlineIsTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := locktest.New()
		defer f.Hold("k")()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		time.AfterFunc(990*time.Millisecond, cancel)
		_, err := f.Acquire(ctx, "k")
		if ae, ok := errors.AsType[*core.AcquireError](err); !ok || ae.Err != context.DeadlineExceeded || ae.Cause != context.Canceled {
			t.Error(err)
		}
	})
}
