package core

import (
	"context"
	"time"
)

// Observer hears what happens to locks. Its methods are called on the
// caller's path: they must be quick and must not panic. All may be called from
// many goroutines at once. A panic in the goroutine of Acquire or Release goes on to
// the caller, and leaves nothing held; any other is logged, once, and ends there.
//
// Embed [NopObserver] in an implementation: methods may be added.
//
// For one acquisition the calls are, in order: Acquiring, Waiting if it has to
// wait in line, Acquired and, if the lock was granted, Holding and Released. Up
// to Holding they are made in the goroutine of Acquire.
type Observer interface {
	// Acquiring is called first. The context it returns is given to
	// TraceParent and Acquired, and to nothing else: what the holder does is
	// not a part of the wait.
	Acquiring(ctx context.Context, a Attempt) context.Context
	// TraceParent returns the W3C traceparent of what Acquiring began, to be
	// stored with the lease for waiters to link to; "" for none.
	TraceParent(ctx context.Context) string
	// Waiting is called when the request is in line behind another and about to
	// wait, with the context from Acquiring. A Locker that is not from this
	// package may not tell (see [Settings.TellWaiting]).
	Waiting(ctx context.Context, a Attempt)
	// Acquired is called with the outcome, err being nil if the lock was
	// granted.
	Acquired(ctx context.Context, a Attempt, r AcquireResult)
	// Holding is called when the lock has been granted, with the lock's
	// context. What it returns becomes the lock's context.
	Holding(ctx context.Context, a Attempt, l Lock) context.Context
	// Released is called once, when the lock is released or when it is lost,
	// whichever is first, with the context that Holding returned.
	Released(ctx context.Context, a Attempt, r HoldResult)
	// Renewed is called with what a renewal of the lease came to, with the context
	// that Holding returned, in a goroutine of its own: it may come after Released.
	// err is nil if the lease is prolonged, [ErrLost] or [ErrBroken] if it cannot be
	// any more, and else why there was no answer that counts; then it is tried again
	// until the lease has lapsed. A lease that is passed on among the requests of a
	// process is renewed once for all of them: the present holder's observer hears it.
	Renewed(ctx context.Context, a Attempt, err error)
	// HealthChanged is called when Redis, or a node of its cluster, begins to count as
	// down, and when it has answered again: in that order, one call at a time, and for
	// no request in particular. Of a node that leaves the cluster while it is down
	// nothing more is told. It is told by a [RedisLocker] alone.
	HealthChanged(h Health)
}

// Attempt is what one acquisition asks for.
type Attempt struct {
	// Namespace is the Locker's prefix, Name the name in the settings (the
	// namespace if there is none). Both are of low cardinality.
	Namespace, Name string
	// Key is the lock's key: data from the request. Keep it out of metrics.
	Key string
	// Start is when Acquire was called.
	Start time.Time
	// Shadow: the request runs whatever the outcome, see [Shadow].
	Shadow bool
}

// AcquireResult is the outcome of an acquisition.
type AcquireResult struct {
	Info Info
	// Queued tells whether Waiting was called.
	Queued bool
	// Token is the fencing token, zero if the lock was not granted.
	Token uint64
	// Err is Acquire's error, nil if the lock was granted.
	Err error
}

// HoldResult is how a hold ended.
type HoldResult struct {
	// Held is how long the lock was held.
	Held time.Duration
	// Err is nil after a release; [ErrLost], [ErrBroken] or [ErrMaxHold] if
	// the holder was told to stop before.
	Err error
}

// Health is whether Redis answers, or one node of its cluster.
type Health struct {
	// Namespace is the Locker's prefix.
	Namespace string
	// Node is the server's address, as the client has it.
	Node string
	// Down is why it counts as out of reach; nil if it has answered again. While it
	// does, requests for free keys are refused at once with [ErrBackend].
	Down error
}

// NopObserver hears everything and does nothing.
type NopObserver struct{}

var _ Observer = NopObserver{}

// Acquiring returns ctx.
func (NopObserver) Acquiring(ctx context.Context, _ Attempt) context.Context { return ctx }

// TraceParent returns "".
func (NopObserver) TraceParent(context.Context) string { return "" }

// Waiting does nothing.
func (NopObserver) Waiting(context.Context, Attempt) {}

// Acquired does nothing.
func (NopObserver) Acquired(context.Context, Attempt, AcquireResult) {}

// Holding returns ctx.
func (NopObserver) Holding(ctx context.Context, _ Attempt, _ Lock) context.Context { return ctx }

// Released does nothing.
func (NopObserver) Released(context.Context, Attempt, HoldResult) {}

// Renewed does nothing.
func (NopObserver) Renewed(context.Context, Attempt, error) {}

// HealthChanged does nothing.
func (NopObserver) HealthChanged(Health) {}
