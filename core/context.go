package core

import "context"

type lockContextKey struct{}

// FromContext returns the lock that ctx runs under: in a handler, the one that
// the middleware holds for this request. It returns false where no lock is
// held: outside a locked route, when the request was let through because the
// backend was down (FailOpen), or when the key was skipped.
func FromContext(ctx context.Context) (Lock, bool) {
	l, ok := ctx.Value(lockContextKey{}).(Lock)
	return l, ok
}

// NewContext returns a context that carries l. It is for implementations of
// [Locker]: [Lock.Context] must carry the lock.
func NewContext(ctx context.Context, l Lock) context.Context {
	return context.WithValue(ctx, lockContextKey{}, l)
}
