package core

import (
	"context"
	"time"
)

// Observer hears what happens to locks. Its methods are called on the
// caller's path: they must be quick and must not panic. All may be called from
// many goroutines at once.
//
// Embed [NopObserver] in an implementation: methods may be added.
//
// For one acquisition the calls are, in order: Acquiring, Acquired and, if the
// lock was granted, Holding and Released.
type Observer interface {
	// Acquiring is called first. The context it returns is given to
	// TraceParent and Acquired, and to nothing else: what the holder does is
	// not a part of the wait.
	Acquiring(ctx context.Context, a Attempt) context.Context
	// TraceParent returns the W3C traceparent of what Acquiring began, to be
	// stored with the lease for waiters to link to; "" for none.
	TraceParent(ctx context.Context) string
	// Acquired is called with the outcome, err being nil if the lock was
	// granted.
	Acquired(ctx context.Context, a Attempt, r AcquireResult)
	// Holding is called when the lock has been granted, with the lock's
	// context. What it returns becomes the lock's context.
	Holding(ctx context.Context, a Attempt, l Lock) context.Context
	// Released is called once, when the lock is released or when it is lost,
	// whichever is first, with the context that Holding returned.
	Released(ctx context.Context, a Attempt, r HoldResult)
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

// NopObserver hears everything and does nothing.
type NopObserver struct{}

var _ Observer = NopObserver{}

// Acquiring returns ctx.
func (NopObserver) Acquiring(ctx context.Context, _ Attempt) context.Context { return ctx }

// TraceParent returns "".
func (NopObserver) TraceParent(context.Context) string { return "" }

// Acquired does nothing.
func (NopObserver) Acquired(context.Context, Attempt, AcquireResult) {}

// Holding returns ctx.
func (NopObserver) Holding(ctx context.Context, _ Attempt, _ Lock) context.Context { return ctx }

// Released does nothing.
func (NopObserver) Released(context.Context, Attempt, HoldResult) {}
