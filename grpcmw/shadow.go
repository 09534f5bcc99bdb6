package grpcmw

import (
	"context"

	"github.com/latchkey-go/latchkey/core"
)

// Shadow makes the lock a trial: every call is served, and what would have been
// denied is told to [OnDeny] and to observers, with [core.Denial.Shadow] and
// core.Attempt.Shadow set. It is for finding out, before the lock is in force, who
// would be denied and which keys cannot be made.
//
// A call asks for its lock once and does not wait in line, whatever [Wait] is. If
// the lock is granted, the call holds it until its handler returns; if not, the
// handler runs at once, and [core.FromContext] reports no lock. So LOCK_HELD
// counts the calls that would have waited, not those that would have been denied,
// and no two calls are kept apart. What else is measured, and what is not,
// [core.Shadow] tells. Of a slow Redis, a handler sees a delay of at most 100 ms.
//
// An error that OnDeny returns is dropped: the handler answers. A lost lock is
// told when the handler has returned, and cancels nothing.
func Shadow() Setting { return Setting{func(t *terms) { t.shadow = true }} }

// tellShadow tells OnDeny of a denial that is not enforced.
func (t *terms) tellShadow(ctx context.Context, d *core.Denial) {
	if d.Shadow = true; t.onDeny != nil {
		_ = t.onDeny(ctx, d)
	}
}
