package grpcmw

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/idgen"
	"github.com/latchkey-go/latchkey/internal/denial"
	"github.com/latchkey-go/latchkey/internal/retry"
)

// ReasonDuplicate: the call is a further attempt of a client that hedges, and
// another attempt has run. See the package's documentation.
const ReasonDuplicate = denial.Duplicate

// onTheWay is how long the answer of an attempt may need to its client, and a
// further attempt to this process. So long a success is remembered, and the denial
// of a duplicate kept back: the client cancels the duplicate when it has the answer,
// but were the denial there first, it would end the call.
const onTheWay = time.Second

// maxRemembered is the largest number of successes that a method remembers.
const maxRemembered = 10000

// errDuplicate is the cause of a denial with ReasonDuplicate.
var errDuplicate = errors.New("grpcmw: another attempt with the same request ID has run")

// ongoing are the calls of a method that came with a request ID and are in line,
// run, or have succeeded a moment ago.
type ongoing struct {
	mu         sync.Mutex
	calls      map[callID][]*ongoingCall
	remembered []success // in the order of their times

	anonymous anonymous // those without an ID
}

type callID struct{ key, requestID string }

type ongoingCall struct {
	further  bool
	ended    chan struct{}
	answered bool // it has run and its client is there; set before ended is closed
}

type success struct {
	id   callID
	call *ongoingCall
	at   time.Time
}

// enter adds a call, unless there are other attempts of it, which it returns. Two
// calls with one ID are attempts of one call if one of them says that it is a
// further one: that may be the first to arrive.
func (o *ongoing) enter(id callID, further bool) (own *ongoingCall, others []*ongoingCall) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget(time.Now())
	for _, c := range o.calls[id] {
		if further || c.further {
			others = append(others, c)
		}
	}
	if len(others) > 0 {
		return nil, others
	}
	own = &ongoingCall{further: further, ended: make(chan struct{})}
	if o.calls == nil {
		o.calls = map[callID][]*ongoingCall{}
	}
	o.calls[id] = append(o.calls[id], own)
	return own, nil
}

// leave ends a call. A success is remembered: no client asks for it again, unless
// it has done so already.
func (o *ongoing) leave(id callID, own *ongoingCall, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.forget(now)
	if own.answered && err == nil {
		o.remembered = append(o.remembered, success{id, own, now})
	} else {
		o.remove(id, own)
	}
	close(own.ended)
}

// forget removes successes that are too old or too many. The caller holds mu.
func (o *ongoing) forget(now time.Time) {
	for len(o.remembered) > 0 && (len(o.remembered) > maxRemembered || now.Sub(o.remembered[0].at) > onTheWay) {
		o.remove(o.remembered[0].id, o.remembered[0].call)
		o.remembered = o.remembered[1:]
	}
}

// remove removes a call. The caller holds mu.
func (o *ongoing) remove(id callID, call *ongoingCall) {
	if left := slices.DeleteFunc(o.calls[id], func(c *ongoingCall) bool { return c == call }); len(left) > 0 {
		o.calls[id] = left
	} else {
		delete(o.calls, id)
	}
}

// sentID returns the request ID that came with a call, trusted or not.
func sentID(ctx context.Context) (id string, ok bool) {
	ids := metadata.ValueFromIncomingContext(ctx, RequestIDKey)
	if len(ids) != 1 || !idgen.ValidRequestID(ids[0]) {
		return "", false
	}
	return ids[0], true
}

// run runs fn under the lock on key, but not if another attempt of the call has
// run meanwhile.
func (c *call) run(ctx context.Context, key string, fn func(context.Context) error) (err error) {
	if c.terms.shadow {
		return c.runLocked(ctx, key, fn)
	}
	sent, ok := sentID(ctx)
	if !ok {
		return c.ongoing.anonymous.run(ctx, c, key, fn)
	}
	id, further := callID{key, sent}, previousAttempts(ctx) != "0"
	own, err := c.await(ctx, id, further)
	if err != nil {
		return err
	}
	err = errNotReturned // if fn panics
	defer func() { c.ongoing.leave(id, own, err) }()
	seen := func(ctx context.Context) error {
		// Whatever comes of it: that is what the client gets to know, if it is there.
		defer func() { own.answered = c.ctx.Err() == nil }()
		return fn(ctx)
	}
	if further && sent == c.requestID { // which is in the lease
		err = c.runFurther(ctx, key, seen)
	} else {
		err = c.runLocked(ctx, key, seen)
	}
	return err
}

// await waits until no other attempt of the call is in line or runs in this
// process.
func (c *call) await(ctx context.Context, id callID, further bool) (*ongoingCall, error) {
	for {
		own, others := c.ongoing.enter(id, further)
		if own != nil {
			return own, nil
		}
		for _, other := range others {
			select {
			case <-other.ended:
			case <-ctx.Done():
				return nil, core.Ended(ctx, ctx.Err())
			}
			if other.answered {
				return nil, duplicate(ctx)
			}
		}
	}
}

// runFurther is runLocked for a further attempt, the first of which may run in
// another process: then the lease has its request ID.
func (c *call) runFurther(ctx context.Context, key string, fn func(context.Context) error) error {
	err := c.runLocked(ctx, key, func(ctx context.Context) error {
		if lock, ok := core.FromContext(ctx); ok && lock != nil {
			if info := lock.Info(); c.isOwn(info.Blocker) || c.isOwn(info.Predecessor) {
				return errDuplicate
			}
		}
		return fn(ctx)
	})
	for c.deniedByOwn(err) {
		// The client must not hear of it now: a denial may end the attempt that
		// runs. When that one is answered, the client cancels this one. It asks
		// seldom: having the lock, it would be in the way of the client's next call.
		if gone := retry.Sleep(ctx, onTheWay); gone != nil {
			return core.Ended(ctx, ctx.Err())
		}
		err = c.runLocked(ctx, key, func(context.Context) error { return errDuplicate }, core.Wait(0))
	}
	if err == errDuplicate {
		return duplicate(ctx)
	}
	return err
}

// deniedByOwn reports whether the lock was denied because another attempt of the
// call holds it.
func (c *call) deniedByOwn(err error) bool {
	d, ok := err.(*core.Denial)
	return ok && c.isOwn(d.Holder)
}

// isOwn reports whether the holder is another attempt of the call.
func (c *call) isOwn(h *core.Holder) bool { return h != nil && h.RequestID == c.requestID }

// duplicate is the denial of an attempt after another one has run.
func duplicate(ctx context.Context) error {
	_ = retry.Sleep(ctx, onTheWay)
	return &core.Denial{Reason: ReasonDuplicate, Cause: errDuplicate}
}
