package grpcmw

import (
	"context"
	"errors"
	"log/slog"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	"github.com/latchkey-go/latchkey/internal/lines"
)

// call is one call of a locked method.
type call struct {
	*method
	ctx        context.Context // with the request ID, without the lock
	requestID  string
	setTrailer func(metadata.MD)
	lines      *lines.Lines
	bidi       bool // a stream in which either side may rightly be silent
}

// result is what became of the handler.
type result struct {
	ran  bool
	sent bool // a message, on a stream
	err  error
}

// lockKey returns the call's key, or nothing if the call is to run without a lock.
// req is nil where there is no message.
func (c *call) lockKey(ctx context.Context, req any) (key string, locked bool, denial *core.Denial) {
	key, err := c.keyOf(ctx, req)
	if err == nil {
		return key, true, nil
	}
	if c.terms.skipMissing && errors.Is(err, core.ErrKeyMissing) {
		return "", false, nil
	}
	return "", false, c.enforced(keyDenial(ctx, err))
}

// keyDenial is the denial of a call whose key could not be made. What is no fault of
// the call's is the program's.
func keyDenial(ctx context.Context, err error) *core.Denial {
	d := core.Denied(err)
	if d == nil {
		d = core.Ended(ctx, err) // while a key's function looked something up
	}
	if d == nil {
		d = fault(err)
	}
	return d
}

// fault is the denial of a call for a reason that lies in the program.
func fault(err error) *core.Denial { return &core.Denial{Reason: core.ReasonInternal, Cause: err} }

func (c *call) keyOf(ctx context.Context, req any) (string, error) {
	err := errors.Join(c.faults...)
	if err == nil {
		var key string
		if key, err = c.key.of(ctx, req, c.terms.fallback); err == nil {
			return keys.Scoped(c.scope, key), nil
		}
	}
	// Verify says so at start-up; this is for those who did not ask.
	if keyDenial(ctx, err).Reason == core.ReasonInternal {
		if c.told.First(c.fullMethod) {
			slog.ErrorContext(ctx, "grpcmw: no call of this method has its lock's key, and each is denied with INTERNAL; "+
				"this is logged once for each method; Middleware.Verify reports it at start-up", "method", c.fullMethod, "error", err)
		}
	}
	return "", err
}

// enforced returns the denial of a call that has no key, or tells of it and
// returns nil if the lock is a trial.
func (c *call) enforced(d *core.Denial) *core.Denial {
	if !c.terms.shadow {
		return d
	}
	c.terms.tellShadow(c.ctx, d)
	return nil
}

// runLocked runs fn under the lock on key.
func (c *call) runLocked(ctx context.Context, key string, fn func(context.Context) error, more ...core.AcquireOption) error {
	opts := append([]core.AcquireOption{core.WithMeta(core.Meta{RequestID: c.requestID}), c.named}, more...)
	if c.terms.wait == 0 || c.terms.shadow || len(more) > 0 { // nobody waits
		return c.guard.Run(ctx, key, fn, opts...)
	}
	return c.lines.Run(ctx, connOf(ctx), c.guard, key, fn, opts...)
}

// unlocked returns ctx for a handler that is to run without a lock. If ctx is
// under an outer interceptor's, that one is not the lock on this call's key.
func unlocked(ctx context.Context) context.Context { return core.NewContext(ctx, nil) }

// outcome turns what run returned into the call's error.
func (c *call) outcome(err error, r result) error {
	// The denial itself and no other error that wraps one: what a handler says
	// with a status of its own is passed on as it is.
	d, ok := err.(*core.Denial)
	if !ok {
		return err
	}
	if inner, ok := errors.AsType[*deniedError](r.err); ok && inner.denial == d {
		return r.err // answered by an interceptor inside this one
	}
	if d.Reason == core.ReasonLost && r.sent && c.terms.onLoss == KeepResult && !gaveUp(r.err) {
		return c.outcome(r.err, result{ran: true})
	}
	return c.deny(d, r.ran)
}

// gaveUp tells whether a handler's error is no more than its heeding the
// context that the loss has cancelled.
func gaveUp(err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, context.Canceled), errors.Is(err, core.ErrLost), errors.Is(err, core.ErrBroken), errors.Is(err, core.ErrMaxHold):
		return true
	}
	return status.Code(err) == codes.Canceled
}

// deny returns the answer to a denied call and sets the trailer for it.
func (c *call) deny(d *core.Denial, ran bool) error {
	if c.terms.onDeny != nil {
		if err := c.terms.onDeny(c.ctx, d); err != nil {
			return err
		}
	}
	err, trailer := c.answer(d, ran)
	if len(trailer) > 0 {
		c.setTrailer(trailer)
	}
	return err
}
