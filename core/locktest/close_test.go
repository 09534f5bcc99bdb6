package locktest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

func TestShutdownWaitsForHoldersAndDeniesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := locktest.New()
		f.Hold("somebody else's")
		holding := acquire(t, f, t.Context())
		waiting := inLine(f, t.Context())
		over := make(chan error, 1)
		go func() { over <- f.Shutdown(t.Context()) }()
		synctest.Wait()

		if !waiting.over() || !errors.Is(waiting.err, core.ErrClosed) {
			t.Errorf("in line: over %t, %v; want ErrClosed", waiting.over(), waiting.err)
		}
		if _, err := f.Acquire(t.Context(), "another"); !errors.Is(err, core.ErrClosed) {
			t.Errorf("a new one: %v; want ErrClosed", err)
		}
		if err := holding.Context().Err(); err != nil || len(over) != 0 {
			t.Fatalf("the holder: %v, shutdowns over: %d; want it to finish first", err, len(over))
		}
		release(t, holding)
		if err := <-over; err != nil {
			t.Errorf("Shutdown = %v; want nil", err)
		}
	})
}

func TestShutdownThatRunsOutOfTimeCutsHoldersOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := locktest.New()
		f.Hold("somebody else's")
		holding := acquire(t, f, t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown = %v; want it to tell of the deadline", err)
		}
		cause := context.Cause(holding.Context())
		if !errors.Is(cause, core.ErrLost) || !errors.Is(cause, core.ErrClosed) || f.Held(key) {
			t.Errorf("cause = %v, held: %t; want ErrLost and ErrClosed, and a free key", cause, f.Held(key))
		}
		if !f.Held("somebody else's") {
			t.Error("somebody else was cut off")
		}
		if err := f.Close(); err != nil {
			t.Errorf("Close after it = %v; want nil", err)
		}
	})
}
