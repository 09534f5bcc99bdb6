package core

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// shadowPatience bounds how long a guard in shadow waits for the backend: a trial
// must not slow down what it tries.
const shadowPatience = 100 * time.Millisecond

// Shadow makes the guard a trial: it runs every function, and tells report what
// it would have denied, with [Denial.Shadow] set, in the goroutine of Run and
// with Run's context. A nil report is none; observers hear of each acquisition
// in any case, see [Attempt].
//
// A guard in shadow asks for the lock once, without waiting in line. If it is
// granted, it is held until the function returns, so that others find it held.
// If not, the function runs at once, and [FromContext] reports no lock. The
// alternatives would tell less or cost more: a request that waited would be
// slowed by a lock that does not protect it, and one whose place in line is
// kept while it runs already would finish at another time than in earnest, and
// so would all that are behind it.
//
// What is exact: [ReasonKeyInvalid], [ReasonSelfDeadlock] and the time that the
// lock itself costs. What is not: [ReasonHeld] is a request that would have had
// to wait, not one that would have been denied, unless with Wait(0): read it as
// the share of requests that contend, an upper bound of the denials, a little
// low as functions that run without the lock are in nobody's way. Hold times are
// measured, the waits that they would cause are not. [ReasonBackend] is also
// told when there is no answer within 100 ms, the longest that a function is
// delayed by its guard.
//
// A lock that is lost while the function runs is told as [ReasonLost] when it
// has returned; its context is not cancelled for it. The release is never
// awaited.
func Shadow(report func(context.Context, *Denial)) GuardOption {
	return guardOption(func(g *guardOptions) {
		g.shadow = true
		g.report = report
		g.settings = append(g.settings, Setting{func(s *Settings) { s.shadow = true }})
	})
}

var errShadowPatience = errors.New("core: no answer within the patience of a guard in shadow")

// notInLine is Wait(0), except that it does not hide a Wait that is out of range:
// in earnest that is a denial.
var notInLine = Setting{func(s *Settings) {
	if 0 <= s.Wait && s.Wait <= MaxWait {
		s.Wait = 0
	}
}}

// runShadow is Run, of which only fn itself can fail.
func (g *Guard) runShadow(ctx context.Context, key string, fn func(context.Context) error, opts []AcquireOption) error {
	asking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(shadowPatience, func() { cancel(errShadowPatience) })
	lock, err := g.locker.Acquire(asking, key, append(opts[:len(opts):len(opts)], notInLine)...)
	patience.Stop()
	if err != nil {
		d := *unacquired(err)
		if context.Cause(asking) == errShadowPatience && ctx.Err() == nil {
			d.Reason, d.Cause = ReasonBackend, fmt.Errorf("%w: %w", errShadowPatience, err)
		}
		g.tell(ctx, &d)
		return stale(fn(NewContext(ctx, nil)))
	}
	var result error
	err = g.runHolding(ctx, lock, func(held context.Context) error {
		result = stale(fn(&beside{ctx, context.WithoutCancel(held)}))
		return result
	}, opts)
	if d, ok := err.(*Denial); ok && d.Reason == ReasonLost && err != result {
		g.tell(ctx, d)
	}
	return result
}

// tell reports a denial that is not enforced.
func (g *Guard) tell(ctx context.Context, d *Denial) {
	d.Shadow = true
	if g.options.report != nil {
		g.options.report(ctx, d)
	}
}

// beside is the context of a function that runs beside a lock: it ends as if
// there were none, and has the values of the lock's own.
type beside struct {
	context.Context
	values context.Context // is never done, and so has no cause of its own
}

func (c *beside) Value(key any) any {
	if v := c.values.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}
