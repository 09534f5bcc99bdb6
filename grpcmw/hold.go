package grpcmw

import (
	"context"
	"errors"
)

// hold is a lock that is held beside a function that has begun already: what is
// left to do when it cannot be run by core.Guard, which alone knows how to hold
// one.
type hold struct {
	finish chan error
	ended  <-chan relayed
}

var errNotReturned = errors.New("grpcmw: the handler did not return")

// hold returns when the lock on key is granted, with its context, or denied. It
// must be ended, also if the handler panics.
func (c *call) hold(ctx context.Context, key string) (*hold, context.Context, error) {
	h := &hold{finish: make(chan error, 1)}
	granted := make(chan context.Context, 1)
	h.ended = relay(func() error {
		return c.run(ctx, key, func(ctx context.Context) error {
			granted <- ctx
			return <-h.finish
		})
	})
	select {
	case ctx := <-granted:
		return h, ctx, nil
	case r := <-h.ended:
		return nil, nil, r.result()
	}
}

// end gives the lock back and returns what the guard makes of the handler's
// result.
func (h *hold) end(err error) error {
	h.finish <- err
	return (<-h.ended).result()
}
