package core

import (
	"context"
	"errors"
	"time"
)

// Reason says why a request was denied, in a word that every transport shows
// its clients. The values are stable.
type Reason string

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

// Denial is the error of [Guard.Run] for a request that did not run under its
// lock. Transports turn it into their own kind of answer.
type Denial struct {
	Reason Reason
	// Waited is the time spent in line.
	Waited time.Duration
	// RetryAfter is when trying again is sensible, with jitter; zero if there
	// is nothing to go by or trying again does not help.
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

// Denied returns the denial for err. Transports use it for what happens before
// a guard runs ([ErrKeyMissing], [ErrKey]) and handlers for [ErrStale]. An err
// that is a *Denial is returned as it is.
func Denied(err error) *Denial {
	if d, ok := errors.AsType[*Denial](err); ok {
		return d
	}
	d := &Denial{Cause: err}
	ae, ok := errors.AsType[*AcquireError](err)
	if !ok {
		d.Reason = reasonOf(err)
	} else {
		// Not its cause: a request that gave up because its context ended may
		// find there why that ended, such as the loss of an outer lock.
		d.Reason = reasonOf(ae.Err)
		d.Waited, d.RetryAfter = ae.Info.Waited, ae.Info.RetryAfter
		if d.Holder = ae.Info.Blocker; ae.Info.Predecessor != nil {
			d.Holder = ae.Info.Predecessor
		}
	}
	return d
}

func reasonOf(err error) Reason {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.reason
		}
	}
	return ReasonInternal
}

// reasons is in order of precedence: the lock's own errors come before the
// context's, which may be their cause.
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
	{context.DeadlineExceeded, ReasonDeadline},
	{context.Canceled, ReasonCanceled},
}

// Error says the reason and its cause.
func (d *Denial) Error() string {
	if d.Cause == nil {
		return "core: denied: " + string(d.Reason)
	}
	return "core: denied: " + string(d.Reason) + ": " + d.Cause.Error()
}

// Unwrap returns the cause.
func (d *Denial) Unwrap() error { return d.Cause }

// ErrorType is the cause's name in telemetry; "other" if there is none.
func (d *Denial) ErrorType() string {
	if d.Cause == nil {
		return "other"
	}
	return ErrorType(d.Cause)
}
