package core

import (
	"context"
	"errors"
	"io"
	"testing"
)

func TestFailOpenRunsWithoutALockOnBackendErrorsOnlyAndWhileTheContextLives(t *testing.T) {
	ended := func(ctx context.Context) context.Context {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return ctx
	}
	alive := func(ctx context.Context) context.Context { return ctx }
	cases := map[string]struct {
		policy BackendErrorPolicy
		err    error
		ctx    func(context.Context) context.Context
		runs   bool
	}{
		"open, backend":             {FailOpen, ErrBackend, alive, true},
		"open, backend, ctx ended":  {FailOpen, ErrBackend, ended, false},
		"open, held":                {FailOpen, ErrHeld, alive, false},
		"open, timeout":             {FailOpen, ErrWaitTimeout, alive, false},
		"open, full":                {FailOpen, ErrQueueFull, alive, false},
		"open, closed":              {FailOpen, ErrClosed, alive, false},
		"open, key":                 {FailOpen, ErrKey, alive, false},
		"open, option":              {FailOpen, ErrOption, alive, false},
		"open, self-deadlock":       {FailOpen, ErrSelfDeadlock, alive, false},
		"open, canceled":            {FailOpen, context.Canceled, alive, false},
		"closed, backend":           {FailClosed, ErrBackend, alive, false},
		"closed, backend, no ctx":   {FailClosed, ErrBackend, ended, false},
		"open, an error of unknown": {FailOpen, io.EOF, alive, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := guardOn(t, failing(&AcquireError{Key: "k", Err: c.err}), OnBackendError(c.policy))
			ran, want := false, errors.New("its own")
			err := g.Run(c.ctx(t.Context()), "k", func(ctx context.Context) error {
				ran = true
				if k, ok := FromContext(ctx); ok {
					t.Errorf("under a lock: %v", k)
				}
				return want
			})
			if ran != c.runs {
				t.Fatalf("ran: %v, want %v; %v", ran, c.runs, err)
			}
			if _, isDenial := errors.AsType[*Denial](err); isDenial == c.runs || c.runs && err != want {
				t.Errorf("%v", err)
			}
		})
	}
}

// Else its fencing token would be taken for one of this key.
func TestFailOpenUnderAnotherLockReportsNoLock(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		inner := guardOn(t, l, OnBackendError(FailOpen))
		err := l.Do(t.Context(), "outer", func(ctx context.Context) error {
			p.via(func(op operation, call func() error) error {
				if op.kind == "acquire" {
					return io.EOF
				}
				return call()
			})
			return inner.Run(ctx, "inner", func(ctx context.Context) error {
				if k, ok := FromContext(ctx); ok {
					t.Errorf("reports the lock on %q", k.Key())
				}
				// But the outer key is still known to be held.
				denied(t, inner.Run(ctx, "outer", func(context.Context) error { return errors.New("it ran") }), ReasonSelfDeadlock)
				return nil
			})
		})
		p.via(nil)
		if err != nil {
			t.Error(err)
		}
	})
}
