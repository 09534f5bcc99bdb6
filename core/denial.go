package core

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/timer"
)

// Reason says why a request was denied, in a word that every transport shows
// its clients. The values are stable.
type Reason string

// Ran reports whether the function under the lock ran: [ReasonLost] and
// [ReasonStale]. What it did may have taken effect, so it must not be repeated
// without a thought. With any other reason it has not begun, and trying again is
// safe; of no use, though, where the request or the program is at fault:
// [ReasonKeyMissing], [ReasonKeyInvalid], [ReasonSelfDeadlock] and [ReasonInternal].
func (r Reason) Ran() bool { return r == ReasonLost || r == ReasonStale }

// The reasons.
const (
	ReasonHeld         Reason = "LOCK_HELD"
	ReasonWaitTimeout  Reason = "LOCK_WAIT_TIMEOUT"
	ReasonQueueFull    Reason = "LOCK_QUEUE_FULL"
	ReasonDeadline     Reason = "LOCK_DEADLINE_EXCEEDED"
	ReasonCanceled     Reason = "LOCK_CANCELED"
	ReasonKeyMissing   Reason = "LOCK_KEY_MISSING"
	ReasonKeyInvalid   Reason = "LOCK_KEY_INVALID"
	ReasonBackend      Reason = "LOCK_BACKEND_UNAVAILABLE"
	ReasonShuttingDown Reason = "LOCK_SHUTTING_DOWN"
	ReasonSelfDeadlock Reason = "LOCK_SELF_DEADLOCK"
	// ReasonLost: the function ran, but its lock was lost before it returned.
	ReasonLost Reason = "LOCK_LOST"
	// ReasonStale: the function ran, and its store refused the fencing token.
	ReasonStale Reason = "LOCK_STALE"
	// ReasonInternal: a fault in the program, such as an option out of range.
	ReasonInternal Reason = "LOCK_INTERNAL"
)

// Denial is the error of [Guard.Run] for a request that did not run, or not to its
// end, under its lock: see [Reason.Ran]. Transports turn it into their own kind of
// answer.
type Denial struct {
	Reason Reason
	// Waited is the time spent in line.
	Waited time.Duration
	// RetryAfter is when trying again is sensible, see [Info]; zero if trying
	// again is of no use, or not here.
	RetryAfter time.Duration
	// Holder is who was in the way, nil if unknown.
	Holder *Holder
	// Cause is the error beneath, for logs. It is not for the client: it may
	// name the key or a host.
	Cause error
	// Shadow: the request was not denied, it only would have been (see the
	// option of that name).
	Shadow bool
}

// Denied returns the denial that err is, nil if err is nil or no denial, such as
// the error of a function that ran under its lock. A denial is a [*Denial] in err's
// tree, which is returned as it is; an [*AcquireError]; or one of the errors that a
// lock is denied, lost or refused with: [ErrHeld], [ErrWaitTimeout],
// [ErrQueueFull], [ErrBackend], [ErrClosed], [ErrKey], [ErrKeyMissing],
// [ErrOption], [ErrSelfDeadlock], [ErrLost], [ErrBroken], [ErrMaxHold] and
// [ErrStale]. The error of a context alone is none: the function may have met it.
//
// [Reason.Ran] reports whether the function ran. If that function takes locks
// itself and returns their errors, err is the denial of the inner lock, and what
// the function did before stays done.
//
// Look at nil before it is returned as an error: a nil *Denial is an error that is
// not nil. ([Guard.Run] takes it for none.)
func Denied(err error) *Denial {
	if d, ok := errors.AsType[*Denial](err); ok && d != nil {
		return d
	}
	if ae, ok := errors.AsType[*AcquireError](err); ok && ae != nil {
		// Not its cause: a request that gave up because its context ended may
		// find there why that ended, such as the loss of an outer lock.
		d := &Denial{Reason: endReason(ae.Err), Cause: err}
		d.Waited, d.RetryAfter = ae.Info.Waited, ae.Info.RetryAfter
		if d.Holder = ae.Info.Blocker; ae.Info.Predecessor != nil {
			d.Holder = ae.Info.Predecessor
		}
		return d
	}
	if r := reasonOf(err); r != "" {
		return &Denial{Reason: r, Cause: err}
	}
	return nil
}

// Ended returns the denial of a request whose context ended before it could ask
// for its lock, [ReasonDeadline] or [ReasonCanceled] by the rules of
// [Locker.Acquire]; nil if ctx has not ended. It is for transports that have to
// wait for a part of the key. err is what failed, for the denial's cause.
func Ended(ctx context.Context, err error) *Denial {
	end := timer.EndOf(ctx, time.Time{})
	if end == nil {
		return nil
	}
	return &Denial{Reason: endReason(end), Cause: err}
}

// unacquired is the denial for an acquisition that failed with err, whoever's
// Locker it was.
func unacquired(err error) *Denial {
	if d := Denied(err); d != nil {
		return d
	}
	return &Denial{Reason: endReason(err), Cause: err}
}

// reasonOf is the reason of an error of this package, "" if err is none.
func reasonOf(err error) Reason {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.reason
		}
	}
	return ""
}

// endReason is the reason for an acquisition's error, which may also be its
// context's, or another Locker's own.
func endReason(err error) Reason {
	switch r := reasonOf(err); {
	case r != "":
		return r
	case errors.Is(err, context.DeadlineExceeded):
		return ReasonDeadline
	case errors.Is(err, context.Canceled):
		return ReasonCanceled
	}
	return ReasonInternal
}

// reasons is in order of precedence.
var reasons = []struct {
	err    error
	reason Reason
}{
	{ErrHeld, ReasonHeld},
	{ErrWaitTimeout, ReasonWaitTimeout},
	{ErrQueueFull, ReasonQueueFull},
	{ErrKeyMissing, ReasonKeyMissing},
	{ErrKey, ReasonKeyInvalid},
	{ErrClosed, ReasonShuttingDown},
	{ErrSelfDeadlock, ReasonSelfDeadlock},
	{ErrBackend, ReasonBackend},
	{ErrStale, ReasonStale},
	{ErrLost, ReasonLost},
	{ErrBroken, ReasonLost},
	{ErrMaxHold, ReasonLost},
	{ErrOption, ReasonInternal},
}

// Error says the reason and its cause.
func (d *Denial) Error() string {
	if d == nil {
		return "core: no denial"
	}
	if d.Cause == nil {
		return "core: denied: " + string(d.Reason)
	}
	return "core: denied: " + string(d.Reason) + ": " + d.Cause.Error()
}

// Unwrap returns the cause.
func (d *Denial) Unwrap() error {
	if d == nil {
		return nil
	}
	return d.Cause
}

// ErrorType is the cause's name in telemetry; "other" if there is none.
func (d *Denial) ErrorType() string {
	if d == nil || d.Cause == nil {
		return "other"
	}
	return ErrorType(d.Cause)
}
