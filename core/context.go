package core

import (
	"context"
	"time"
)

type lockContextKey struct{}

// FromContext returns the lock that ctx runs under, and true: in a handler, the
// one that the middleware holds for this request.
//
// Where no lock is held it returns false and a Lock that says so, never nil: its
// Key is "", its Token 0, its Remaining 0, its Info empty, its Context is ctx, and
// Release returns [ErrNotHeld]. No lock is held outside a locked route, when the
// request was let through though the backend was down ([FailOpen]), when it would
// have been denied in a trial ([Shadow]), and when the key was missing and skipped.
//
// A token of 0 is lower than all others: a store that compares tokens refuses it
// once anybody has written under a lock, and should refuse it before. Whoever
// wants such a request to write all the same has to ask for the bool, and to leave
// out the comparison.
func FromContext(ctx context.Context) (Lock, bool) {
	if l, ok := ctx.Value(lockContextKey{}).(Lock); ok {
		return l, true
	}
	return noLock{ctx}, false
}

// NewContext returns a context that carries l, and none if l is nil. It is for
// implementations of [Locker]: [Lock.Context] must carry the lock.
func NewContext(ctx context.Context, l Lock) context.Context {
	if isNil(l) {
		l = nil
	}
	return context.WithValue(ctx, lockContextKey{}, l)
}

// noLock stands for the lock where there is none.
type noLock struct{ ctx context.Context }

var _ Lock = noLock{}

func (noLock) Key() string                   { return "" }
func (noLock) Token() uint64                 { return 0 }
func (n noLock) Context() context.Context    { return n.ctx }
func (noLock) Remaining() time.Duration      { return 0 }
func (noLock) Info() Info                    { return Info{} }
func (noLock) Release(context.Context) error { return ErrNotHeld }
