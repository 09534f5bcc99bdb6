package backend

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// inlineTimeout bounds how long an inline call keeps its caller. It is on the way
	// only while Redis answers in less than inlineLatency.
	inlineTimeout = 10 * time.Millisecond
	inlineLatency = 2 * time.Millisecond
	// InlineBudget is what a caller needs to have left of its own time to make an
	// inline call: that may use up its timeout once before the request is sent,
	// and once for the answer.
	InlineBudget = 3 * inlineTimeout
)

// InlineCall is a flight with a single operation that its caller makes itself, because
// nobody else's is under way.
//
// To wake another goroutine for the call, and to be woken by it, was measured to
// take as long again as the call itself when Redis is near (two cores, loopback:
// 85 µs for an acquire and a release in the caller's goroutine, 150 µs in
// another's). The price is that a caller whose context is cancelled while Redis
// has just stopped to answer returns up to loneTimeout later. Only one does:
// after that, and as long as Redis is slow, all flights are made by others.
//
// There are inline calls only with a client that ends a call at its context's
// deadline, which go-redis does if asked to (ContextTimeoutEnabled). A clone of
// the client with shorter timeouts (WithTimeout) was no way out: it has none of
// the hooks (go-redis 9.23).
type InlineCall struct {
	batcher *batcher
	flight  *flight
	calls   [1]*call
	results [1]result
	err     error
	ctx     inlineContext
}

// inlineCall returns a flight for k that the caller makes, nil if it has to travel in
// the ordinary way.
func (bt *batcher) inlineCall(k *call) *InlineCall {
	bt.mu.Lock()
	defer bt.mu.Unlock()
	// Where several went together, more will come while this one is away.
	alone := len(bt.inFlight) == 0 && bt.size <= 1
	// Before the first flight nothing is known, and there may be no connection.
	fast := !bt.health.answered.IsZero() && bt.took <= inlineLatency && bt.health.failures == 0
	if !bt.honoursDeadline || !alone || !fast || bt.closed || bt.standby.inUse() {
		return nil
	}
	now := time.Now()
	inline := &InlineCall{batcher: bt, flight: bt.newFlight(), calls: [1]*call{k}, ctx: inlineContext{Context: bt.backend.ctx, deadline: now.Add(inlineTimeout)}}
	inline.flight.sent = now
	bt.inline = inline
	if bt.inlineTimer == nil {
		bt.inlineTimer = time.AfterFunc(inlineTimeout, bt.onInlineLate)
	} else {
		bt.inlineTimer.Reset(inlineTimeout)
	}
	return inline
}

// Run makes the flight. Should it fail, for whatever reason, it is made again
// in the ordinary way, and that one's answer counts: no operation does harm if
// it is done twice.
func (o *InlineCall) Run() {
	o.err = errNotReturned
	// Deferred: a hook of the client may end the goroutine, as a test's Fatal does.
	defer o.onReturn()
	o.err = o.batcher.send(&o.ctx, o.batcher.rdb, batch{o.calls[:], o.results[:]})
}

// errNotReturned is the error of a call that has ended its goroutine.
var errNotReturned = errors.New("redis: " + clientHook + " has ended the goroutine of the call")

// onReturn takes what the flight came to.
func (o *InlineCall) onReturn() {
	l, k, err, sent := o.batcher, o.calls[0], o.err, o.flight.sent
	o.ctx.end(context.Canceled)
	k.result = o.results[0]
	if k.err == nil && k.reply == nil {
		k.err = err
	}
	answered := k.err == nil || isServerReply(k.err) && !isTransient(k.err) && !isRedirect(k.err)

	l.mu.Lock()
	l.inline = nil
	l.inlineTimer.Stop()
	o.flight.sent = time.Time{}
	if answered {
		l.record(sent, err)
	} else {
		l.took = inlineTimeout // until a flight tells better
		if mayBeDone(k.err) {
			k.failed(sent, k.err)
		}
		l.enqueue(k)
	}
	l.mu.Unlock()
	if answered {
		k.answer(sent)
	}

	// Under way until here, so that what the answer has called for goes with the
	// next.
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending.length > 0 {
		go l.run(o.flight)
		return
	}
	l.end(o.flight)
}

// onInlineLate ends the call of an inline call whose time is up. The timer may be that of
// one before.
func (bt *batcher) onInlineLate() {
	bt.mu.Lock()
	o := bt.inline
	bt.mu.Unlock()
	if o != nil && !time.Now().Before(o.ctx.deadline) {
		o.ctx.end(context.DeadlineExceeded)
	}
}

// inlineContext is the context of an inline call's call. As there is one such flight at a time,
// they share a timer; context.WithTimeout would take five allocations, more than the
// rest of the flight. When the backend closes, stop ends it.
type inlineContext struct {
	context.Context // the backend's, for its values
	deadline        time.Time

	mu   sync.Mutex
	done chan struct{} // nil until asked for
	err  error
}

func (c *inlineContext) Deadline() (time.Time, bool) { return c.deadline, true }

func (c *inlineContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	return c.done
}

func (c *inlineContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// end ends it with err, unless it has ended before.
func (c *inlineContext) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	if c.done != nil {
		close(c.done)
	}
}
