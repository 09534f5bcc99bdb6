package lockotel

import (
	"context"
	"errors"

	"github.com/latchkey-go/latchkey/core"
)

// outcome is a value of dlock.outcome.
type outcome string

const (
	outcomeAcquired  outcome = "acquired"
	outcomeBusy      outcome = "busy"
	outcomeTimeout   outcome = "timeout"
	outcomeQueueFull outcome = "queue_full"
	outcomeCanceled  outcome = "canceled"
	outcomeError     outcome = "error"

	outcomeReleased outcome = "released"
	outcomeLost     outcome = "lost"

	outcomeRenewed outcome = "renewed"
	outcomeBroken  outcome = "broken"
)

// renewals are the outcomes of one, of which lost and error are those above.
var renewals = [...]outcome{outcomeRenewed, outcomeLost, outcomeBroken, outcomeError}

// verdicts is in order of precedence. Errors of the lock come before the
// context's: a backend that did not answer in time may well wrap
// context.DeadlineExceeded, without the caller having given up.
var verdicts = [...]struct {
	err     error
	outcome outcome
}{
	{core.ErrHeld, outcomeBusy},
	{core.ErrWaitTimeout, outcomeTimeout},
	{core.ErrQueueFull, outcomeQueueFull},
	{core.ErrBackend, outcomeError},
	{core.ErrClosed, outcomeError},
	{core.ErrSelfDeadlock, outcomeError},
	{core.ErrKey, outcomeError},
	{core.ErrOption, outcomeError},
	{context.Canceled, outcomeCanceled},
	{context.DeadlineExceeded, outcomeCanceled},
}

func acquireOutcome(err error) outcome {
	if err == nil {
		return outcomeAcquired
	}
	// The verdict alone: what lies beneath is not what happened to the
	// acquisition. The Cause of a cancelled one may be any error of the
	// caller's, a lock's included.
	if ae, ok := errors.AsType[*core.AcquireError](err); ok && ae.Err != nil {
		err = ae.Err
	}
	for _, v := range verdicts {
		if errors.Is(err, v.err) {
			return v.outcome
		}
	}
	return outcomeError
}

func holdOutcome(err error) outcome {
	if err == nil {
		return outcomeReleased
	}
	return outcomeLost
}

func renewalOutcome(err error) outcome {
	switch {
	case err == nil:
		return outcomeRenewed
	case errors.Is(err, core.ErrLost):
		return outcomeLost
	case errors.Is(err, core.ErrBroken):
		return outcomeBroken
	default:
		return outcomeError
	}
}

// fault returns the description of an outcome that is an Error, and "" of one
// that is not. Descriptions are constants: an error's text may name keys and
// hosts.
func (o outcome) fault() string {
	switch o {
	case outcomeTimeout:
		return "the lock was not granted within the longest wait"
	case outcomeQueueFull:
		return "too many waiters for the lock"
	case outcomeError:
		return "the lock could not be acquired"
	case outcomeLost:
		return "the lock was lost before it was released"
	default:
		return ""
	}
}
