package timer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhyAContextEnded(t *testing.T) {
	const never = -1
	lost := errors.New("lost")
	for name, c := range map[string]struct {
		timeout time.Duration // of the context; 0 for none
		end     time.Duration // when it is cancelled; never, or with the cause
		cause   error
		want    error
	}{
		"its deadline":                            {timeout: time.Second, end: never, want: context.DeadlineExceeded},
		"cancelled just before its deadline":      {timeout: time.Second, end: 999 * time.Millisecond, want: context.DeadlineExceeded},
		"cancelled a little before":               {timeout: time.Second, end: 900 * time.Millisecond, want: context.DeadlineExceeded},
		"cancelled well before":                   {timeout: time.Second, end: 890 * time.Millisecond, want: context.Canceled},
		"cancelled at half of a short time":       {timeout: 20 * time.Millisecond, end: 10 * time.Millisecond, want: context.Canceled},
		"cancelled near the end of a short time":  {timeout: 20 * time.Millisecond, end: 15 * time.Millisecond, want: context.DeadlineExceeded},
		"cancelled with a cause at the deadline":  {timeout: time.Second, end: 999 * time.Millisecond, cause: lost, want: context.Canceled},
		"cancelled without a deadline":            {end: time.Second, want: context.Canceled},
		"cancelled at once, its deadline is near": {timeout: time.Millisecond, end: 1, want: context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				since := time.Now()
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if c.timeout > 0 {
					var stop context.CancelFunc
					ctx, stop = context.WithTimeout(ctx, c.timeout)
					defer stop()
				}
				if c.end != never {
					time.AfterFunc(c.end, func() { cancel(c.cause) })
				}
				if err := EndOf(ctx, since); err != nil {
					t.Errorf("%v, before it has ended", err)
				}
				<-ctx.Done()
				if err := EndOf(ctx, since); err != c.want {
					t.Errorf("%v, want %v", err, c.want)
				}
			})
		})
	}
}

// The deadline of a context that has one of its own need not be its parent's.
func TestAContextThatIsCancelledAfterItsDeadline(t *testing.T) {
	since := time.Now().Add(-time.Minute)
	ctx := overdue{cancelled(t), time.Now().Add(-time.Second)}
	if err := EndOf(ctx, since); err != context.DeadlineExceeded {
		t.Error(err)
	}
	if err := EndOf(ctx, time.Now()); err != context.DeadlineExceeded {
		t.Errorf("asked for after it: %v", err)
	}
}

// overdue is cancelled, not by its deadline, which has passed.
type overdue struct {
	context.Context
	deadline time.Time
}

func (o overdue) Deadline() (time.Time, bool) { return o.deadline, true }

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
