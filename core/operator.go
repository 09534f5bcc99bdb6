package core

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// OperatorError is why an operator's call failed: [RedisLocker.Inspect],
// [RedisLocker.Leases], [RedisLocker.Break] or [RedisLocker.BreakNow].
type OperatorError struct {
	// Key is the key that was asked about, "" if the call is about all. It is
	// data from requests: keep it out of metrics.
	Key string
	// Err is [ErrNotHeld], [ErrLeaseChanged], [ErrNotLease], [ErrBackend],
	// [ErrClosed], [ErrKey], [ErrOption] or the caller's context error.
	Err error
	// Cause is what lies beneath, if anything: the client's network error, what
	// Redis said, or the cause of the caller's context.
	Cause error
	// Lease is what is there instead, for ErrLeaseChanged and ErrNotLease.
	Lease *LeaseInfo
}

func (e *OperatorError) Error() string { return errorText(e.Err, e.Key, e.Cause) }

// Unwrap makes both Err and Cause match.
func (e *OperatorError) Unwrap() []error { return errorsIn(e.Err, e.Cause) }

// ErrorType is the error's name in telemetry.
func (e *OperatorError) ErrorType() string { return ErrorType(e.Err) }

// operate has op carried out for an operator. If its answer does not come in
// time, op may be done yet. The error is an *OperatorError.
func (l *RedisLocker) operate(ctx context.Context, key string, op backend.Op) (backend.Answer, error) {
	failed := func(err, cause error) (backend.Answer, error) {
		return backend.Answer{}, &OperatorError{Key: key, Err: err, Cause: cause}
	}
	if err := checkKey(key); err != nil {
		return failed(ErrKey, err)
	}
	if err := ctx.Err(); err != nil {
		return failed(err, context.Cause(ctx))
	}
	if down := l.backend.Down(l.backend.Names(key)); down != nil {
		return failed(ErrBackend, down)
	}
	answers := make(chan backend.Answer, 1)
	l.backend.Do(op, func(a backend.Answer) { answers <- a })
	timer := time.NewTimer(backendTimeout)
	defer timer.Stop()
	select {
	case a := <-answers:
		if a.Err != nil {
			return failed(operatorFault(a.Err))
		}
		return a, nil
	case <-ctx.Done():
		return failed(ctx.Err(), context.Cause(ctx))
	case <-timer.C:
		return failed(ErrBackend, errNoAnswer)
	}
}

// operatorFault is the sentinel for an error of the backend, and its cause.
func operatorFault(err error) (sentinel, cause error) {
	if errors.Is(err, backend.ErrClosed) {
		return ErrClosed, nil
	}
	return ErrBackend, err
}
