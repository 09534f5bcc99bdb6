package grpcmw

import (
	"context"
	"sync/atomic"
)

// promise is the context of a stream whose lock comes with its request. It is one
// and the same before and after, because interceptors inside this one keep the
// context that they find when the stream opens. Once kept, it has the values of the
// lock's own context, the lock first of all, and ends with it.
type promise struct {
	context.Context // ends; has no lock, not even that of an interceptor around
	end             context.CancelCauseFunc
	values          atomic.Pointer[context.Context] // nil until the promise is kept
}

// newPromise returns a promise that ends with ctx, or when end is called, which it
// must be.
func newPromise(ctx context.Context) *promise {
	ctx, end := context.WithCancelCause(unlocked(ctx))
	return &promise{Context: ctx, end: end}
}

// keep keeps the promise: ctx is the lock's context, which ends when the lock is
// released.
func (p *promise) keep(ctx context.Context) {
	// It is the promise that ends: the values must not tell of another end.
	values := context.WithoutCancel(ctx)
	p.values.Store(&values)
	context.AfterFunc(ctx, func() { p.end(context.Cause(ctx)) })
}

func (p *promise) Value(key any) any {
	if kept := p.values.Load(); kept != nil {
		if v := (*kept).Value(key); v != nil {
			return v
		}
	}
	return p.Context.Value(key)
}
