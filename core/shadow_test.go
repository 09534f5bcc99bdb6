package core

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// shadowOn returns a guard in shadow, and what it has told so far.
func shadowOn(t *testing.T, l Locker, opts ...GuardOption) (*Guard, *[]*Denial) {
	t.Helper()
	var told []*Denial
	report := Shadow(func(_ context.Context, d *Denial) { told = append(told, d) })
	return guardOn(t, l, append(opts, report)...), &told
}

// expectTold tells whether a guard told this one denial, or none if want is "".
func expectTold(t *testing.T, told []*Denial, want Reason) {
	t.Helper()
	if want == "" {
		if len(told) != 0 {
			t.Errorf("told %v, want nothing", told)
		}
		return
	}
	if len(told) != 1 || told[0].Reason != want || !told[0].Shadow {
		t.Errorf("told %v, want %s, in shadow", told, want)
	}
}

func TestInShadowAFreeKeyIsHeldUntilTheFunctionReturns(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		g, told := shadowOn(t, l)
		want := errors.New("its own")
		err := g.Run(t.Context(), "k", func(ctx context.Context) error {
			if k, ok := FromContext(ctx); !ok || k.Token() == 0 || b.lease("k") == "" {
				t.Errorf("FromContext = %v, %v; lease %q", k, ok, b.lease("k"))
			}
			return want
		})
		if err != want {
			t.Errorf("Run: %v", err)
		}
		expectTold(t, *told, "")
		synctest.Wait() // the release is not awaited
		if lease := b.lease("k"); lease != "" {
			t.Errorf("left in Redis: %s", lease)
		}
	})
}

func TestInShadowAHeldKeyDelaysNobodyAndIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		defer free(t, get(t, l, "k"))
		g, told := shadowOn(t, l, Wait(time.Minute))
		ran, start := false, time.Now()
		err := g.Run(t.Context(), "k", func(ctx context.Context) error {
			if k, ok := FromContext(ctx); ok {
				t.Errorf("under a lock: %v", k)
			}
			ran = true
			return nil
		})
		if !ran || err != nil || time.Since(start) != 0 {
			t.Errorf("ran %v after %v: %v", ran, time.Since(start), err)
		}
		expectTold(t, *told, ReasonHeld)
	})
}

func TestInShadowAWaitThatIsOutOfRangeIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		for _, wait := range []time.Duration{-1, MaxWait + 1} {
			g, told := shadowOn(t, l)
			ran := false
			if err := g.Run(t.Context(), "k", func(context.Context) error { ran = true; return nil }, Wait(wait)); err != nil || !ran {
				t.Errorf("%v: ran %v: %v", wait, ran, err)
			}
			expectTold(t, *told, ReasonInternal)
		}
	})
}

func TestInShadowEveryFailureIsToldAndNoneIsEnforced(t *testing.T) {
	for want, err := range map[Reason]error{
		ReasonKeyInvalid: ErrKey, ReasonBackend: ErrBackend, ReasonShuttingDown: ErrClosed,
		ReasonSelfDeadlock: ErrSelfDeadlock, ReasonInternal: errors.New("a fault"), ReasonCanceled: context.Canceled,
	} {
		g, told := shadowOn(t, failing(&AcquireError{Key: "k", Err: err}))
		ran := false
		if err := g.Run(t.Context(), "k", func(context.Context) error { ran = true; return nil }); err != nil || !ran {
			t.Errorf("%s: ran %v: %v", want, ran, err)
		}
		expectTold(t, *told, want)
	}
}

func TestInShadowASlowBackendDelaysTheFunctionByNoMoreThanThePatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := lockerFunc(func(ctx context.Context, key string, _ ...AcquireOption) (Lock, error) {
			<-ctx.Done()
			return nil, &AcquireError{Key: key, Err: ctx.Err()}
		})
		g, told := shadowOn(t, silent)
		start := time.Now()
		err := g.Run(t.Context(), "k", func(ctx context.Context) error {
			if d := time.Since(start); d != shadowPatience || ctx.Err() != nil {
				t.Errorf("begun after %v, %v", d, ctx.Err())
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		expectTold(t, *told, ReasonBackend)
	})
}

func TestInShadowALossIsToldAndCancelsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		g, told := shadowOn(t, l, MaxHold(time.Second), TTL(time.Second))
		want := errors.New("its own")
		err := g.Run(t.Context(), "k", func(ctx context.Context) error {
			elapse(time.Minute)
			if ctx.Err() != nil || context.Cause(ctx) != nil {
				t.Errorf("cancelled: %v", context.Cause(ctx))
			}
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			if child.Err() != nil || context.Cause(child) != nil {
				t.Errorf("its child is cancelled: %v", context.Cause(child))
			}
			return want
		})
		if err != want {
			t.Errorf("Run: %v", err)
		}
		expectTold(t, *told, ReasonLost)
	})
}

func TestInShadowTheFunctionsContextEndsWithTheCallers(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		g, told := shadowOn(t, l)
		cause := errors.New("the caller is gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		err := g.Run(ctx, "k", func(ctx context.Context) error {
			child, stop := context.WithCancel(ctx)
			defer stop()
			cancel(cause)
			<-child.Done()
			return context.Cause(child)
		})
		if err != cause {
			t.Errorf("Run: %v", err)
		}
		expectTold(t, *told, "")
	})
}

func TestInShadowAStaleWriteIsStillDenied(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		g, told := shadowOn(t, l)
		denied(t, g.Run(t.Context(), "k", func(context.Context) error { return ErrStale }), ReasonStale)
		expectTold(t, *told, "")
	})
}

func TestInShadowALockWithinALockOnTheSameKeyIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		g, told := shadowOn(t, l)
		err := g.Run(t.Context(), "k", func(ctx context.Context) error {
			return g.Run(ctx, "k", func(context.Context) error { return nil })
		})
		if err != nil {
			t.Error(err)
		}
		expectTold(t, *told, ReasonSelfDeadlock)
	})
}

// attempts is an observer that keeps what was attempted.
type attempts struct {
	NopObserver
	all []Attempt
}

func (o *attempts) Acquired(_ context.Context, a Attempt, _ AcquireResult) { o.all = append(o.all, a) }

func TestObserversAreToldOfTheShadow(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		o := &attempts{}
		l, _ := b.locker(WithObserver(o))
		g, _ := shadowOn(t, l)
		nothing := func(context.Context) error { return nil }
		for _, g := range []*Guard{g, guardOn(t, l)} {
			if err := g.Run(t.Context(), "k", nothing); err != nil {
				t.Error(err)
			}
		}
		if len(o.all) != 2 || !o.all[0].Shadow || o.all[1].Shadow {
			t.Errorf("attempts: %+v, want one in shadow and one in earnest", o.all)
		}
	})
}
