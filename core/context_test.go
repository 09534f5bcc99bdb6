package core

import (
	"context"
	"errors"
	"io"
	"testing"
)

// isNoLock checks what a handler finds that asks for its lock where there is none,
// and does not look at the bool.
func isNoLock(t *testing.T, ctx context.Context) {
	t.Helper()
	k, ok := FromContext(ctx)
	switch {
	case ok:
		t.Fatalf("reports the lock on %q", k.Key())
	case k == nil:
		t.Fatal("the Lock is nil")
	}
	if k.Key() != "" || k.Token() != 0 || k.Remaining() != 0 || k.Info() != (Info{}) || k.Context() != ctx {
		t.Errorf("it is not empty: %q, %d, %v, %+v", k.Key(), k.Token(), k.Remaining(), k.Info())
	}
	for range 2 {
		if err := k.Release(t.Context()); !errors.Is(err, ErrNotHeld) {
			t.Errorf("Release: %v", err)
		}
	}
}

func TestWhereNoLockIsHeldTheLockSaysSo(t *testing.T) {
	isNoLock(t, t.Context())
	isNoLock(t, NewContext(t.Context(), nil))
	isNoLock(t, NewContext(t.Context(), (*lock)(nil)))

	under := func(g *Guard) {
		t.Helper()
		ran := false
		if err := g.Run(t.Context(), "k", func(ctx context.Context) error {
			ran = true
			isNoLock(t, ctx)
			return nil
		}); err != nil || !ran {
			t.Errorf("%v, ran: %t", err, ran)
		}
	}
	down := failing(&AcquireError{Key: "k", Err: ErrBackend, Cause: io.EOF})
	under(guardOn(t, down, OnBackendError(FailOpen)))
	under(guardOn(t, down, Shadow(nil)))
	under(guardOn(t, failing(&AcquireError{Key: "k", Err: ErrHeld}), Shadow(nil)))
}

func TestNoLockIsFoundUnderAnotherLock(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		err := l.Do(t.Context(), "outer", func(ctx context.Context) error {
			inner := guardOn(t, failing(&AcquireError{Key: "k", Err: ErrHeld}), Shadow(nil))
			return inner.Run(ctx, "k", func(ctx context.Context) error {
				isNoLock(t, ctx)
				return nil
			})
		})
		if err != nil {
			t.Error(err)
		}
	})
}
