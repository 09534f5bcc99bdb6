package core

import (
	"context"
	"errors"
	"fmt"
)

// What an acquisition, a release or a lock's context can fail with. Match them
// with [errors.Is].
var (
	// ErrHeld: the key is held and the caller does not wait.
	ErrHeld = newError("held", "core: the key is held by another request")
	// ErrWaitTimeout: the lock was not granted within the settings' Wait.
	ErrWaitTimeout = newError("timeout", "core: the lock was not granted within the longest wait")
	// ErrQueueFull: as many requests as allowed are waiting already.
	ErrQueueFull = newError("queue_full", "core: too many requests wait for this key")
	// ErrBackend: Redis could not be reached or did not answer. If a lock was
	// granted nonetheless, it is given back in the background.
	ErrBackend = newError("backend", "core: the lock backend is unavailable")
	// ErrClosed: the Locker is shutting down or closed.
	ErrClosed = newError("closed", "core: the locker is closed")
	// ErrKey: the key is empty or too long.
	ErrKey = newError("key", "core: invalid lock key")
	// ErrOption: an option is out of range.
	ErrOption = newError("option", "core: invalid option")
	// ErrSelfDeadlock: the caller's context already holds this key, so that
	// waiting for it could never end.
	ErrSelfDeadlock = newError("self_deadlock", "core: this call chain already holds the key")

	// ErrLost: the lease ended before the holder did: it could not be renewed
	// in time, or Redis no longer has it.
	ErrLost = newError("lost", "core: the lock was lost")
	// ErrBroken: an operator broke the lock, see [RedisLocker.Break]. Unless ErrLost
	// matches, too, nobody else has it before it is released or expires.
	ErrBroken = newError("broken", "core: the lock was broken by an operator")
	// ErrMaxHold: the holder kept the lock for longer than MaxHold.
	ErrMaxHold = newError("max_hold", "core: the lock was held for longer than MaxHold")
	// ErrReleased: the lock was released already.
	ErrReleased = newError("released", "core: the lock is released")

	// ErrNotHeld: nobody holds the key, or there is no lock (see [FromContext]).
	ErrNotHeld = newError("not_held", "core: nobody holds the key")
	// ErrLeaseChanged: another lease is there than the one to be broken.
	ErrLeaseChanged = newError("lease_changed", "core: the lease has changed")
	// ErrNotLease: what Redis has in the lease's place was not written by this
	// package, or by another version of it.
	ErrNotLease = newError("not_lease", "core: what is stored is not a lease")

	// ErrStale is for handlers: return it, wrapped or not, when the store has
	// refused the fencing token, and the transport answers "stale".
	ErrStale = newError("stale", "core: the store refused the fencing token")
	// ErrKeyMissing is for transports: a part of the key is not in the request.
	ErrKeyMissing = newError("key_missing", "core: a part of the lock key is missing")

	// ErrUnsupportedClient: New was given a client it cannot be safe on.
	ErrUnsupportedClient = newError("client", "core: unsupported Redis client")
	// ErrUnfit: Check found something about Redis that has to be changed.
	ErrUnfit = newError("unfit", "core: Redis is not fit for locks")
)

// kindError is a sentinel with a name for telemetry.
type kindError struct{ kind, text string }

func newError(kind, text string) error { return &kindError{kind, text} }

func (e *kindError) Error() string { return e.text }

// ErrorType is the error's name in telemetry (the error.type attribute).
func (e *kindError) ErrorType() string { return e.kind }

// AcquireError is why a lock was not granted.
type AcquireError struct {
	// Key is the key that was asked for. It is data from the request: keep it
	// out of answers, span names and metrics.
	Key string
	// Err is one of the sentinels, or the caller's context error.
	Err error
	// Cause is what lies beneath, if anything: the client's network error, or
	// the cause of the caller's context.
	Cause error
	// Info tells how the attempt went and who was in the way.
	Info Info
}

func (e *AcquireError) Error() string { return errorText(e.Err, e.Key, e.Cause) }

// Unwrap makes both Err and Cause match.
func (e *AcquireError) Unwrap() []error {
	if e == nil {
		return nil
	}
	return errorsIn(e.Err, e.Cause)
}

func errorText(err error, key string, cause error) string {
	text := err.Error()
	if key != "" {
		text += fmt.Sprintf(" (key %q)", key)
	}
	if cause != nil && cause != err {
		text += ": " + cause.Error()
	}
	return text
}

func errorsIn(err, cause error) []error {
	if cause == nil {
		return []error{err}
	}
	return []error{err, cause}
}

// ErrorType is the error's name in telemetry.
func (e *AcquireError) ErrorType() string { return ErrorType(e.Err) }

// ErrorType names err for telemetry, with few different values: the
// ErrorType of the first error in its tree that has one, "canceled",
// "deadline", or "other"; "" for nil.
func ErrorType(err error) string {
	if err == nil {
		return ""
	}
	if t, ok := errors.AsType[interface {
		error
		ErrorType() string
	}](err); ok {
		return t.ErrorType()
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline"
	}
	return "other"
}
