package lockotel

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/latchkey-go/latchkey/core"
)

func TestAcquireOutcome(t *testing.T) {
	acquire := func(err, cause error) error { return &core.AcquireError{Key: "k", Err: err, Cause: cause} }
	for _, c := range []struct {
		name string
		err  error
		want outcome
	}{
		{"granted", nil, outcomeAcquired},
		{"held", acquire(core.ErrHeld, nil), outcomeBusy},
		{"timeout", acquire(core.ErrWaitTimeout, nil), outcomeTimeout},
		{"queue full", acquire(core.ErrQueueFull, nil), outcomeQueueFull},
		{"canceled", acquire(context.Canceled, context.Canceled), outcomeCanceled},
		{"deadline", acquire(context.DeadlineExceeded, nil), outcomeCanceled},
		{"backend", acquire(core.ErrBackend, errors.New("dial tcp")), outcomeError},
		{"closed", acquire(core.ErrClosed, nil), outcomeError},
		{"key", acquire(core.ErrKey, nil), outcomeError},
		{"option", acquire(core.ErrOption, nil), outcomeError},
		{"self-deadlock", acquire(core.ErrSelfDeadlock, nil), outcomeError},
		{"a locker's own error", errors.New("other"), outcomeError},
		{"wrapped once more", fmt.Errorf("guard: %w", acquire(core.ErrHeld, nil)), outcomeBusy},

		{"a backend that timed out is not a caller that gave up",
			acquire(core.ErrBackend, context.DeadlineExceeded), outcomeError},
		{"nor is it without an AcquireError",
			fmt.Errorf("%w: %w", core.ErrBackend, context.DeadlineExceeded), outcomeError},
		{"a cancellation is one whatever its cause",
			acquire(context.Canceled, core.ErrHeld), outcomeCanceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := acquireOutcome(c.err); got != c.want {
				t.Errorf("acquireOutcome(%v) = %q, want %q", c.err, got, c.want)
			}
		})
	}
}
