package timer

import (
	"context"
	"time"
)

// endLeeway is how long before its deadline a context may be cancelled because of
// it, and a third of its time at most. A client whose deadline passes takes its
// call back, and the word of it overtakes the server's own timer, which was
// started when the call had arrived.
const endLeeway = 100 * time.Millisecond

// EndOf is the error of ctx, which something has waited for since then; nil if ctx
// has not ended. It is [context.DeadlineExceeded] also if ctx was cancelled when
// its deadline had passed or was just about to, unless with a cause of its own.
func EndOf(ctx context.Context, since time.Time) error {
	err := ctx.Err()
	if err != context.Canceled || context.Cause(ctx) != context.Canceled {
		return err
	}
	deadline, ok := ctx.Deadline()
	if !ok || time.Until(deadline) > max(0, min(deadline.Sub(since)/3, endLeeway)) {
		return err
	}
	return context.DeadlineExceeded
}
