package remote

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// loneTimeout bounds how long a lone trip keeps its caller. It is on the way
	// only while Redis answers in less than loneTrip.
	loneTimeout = 10 * time.Millisecond
	loneTrip    = 2 * time.Millisecond
	// LonePatience is what a caller needs to have left of its own time to make a
	// lone trip: that may use up its timeout once before the request is sent,
	// and once for the answer.
	LonePatience = 3 * loneTimeout
)

// Lone is a trip with a single operation that its caller makes itself, because
// nobody else's is under way.
//
// To wake another goroutine for the call, and to be woken by it, was measured to
// take as long again as the call itself when Redis is near (two cores, loopback:
// 85 µs for an acquire and a release in the caller's goroutine, 150 µs in
// another's). The price is that a caller whose context is cancelled while Redis
// has just stopped to answer returns up to loneTimeout later. Only one does:
// after that, and as long as Redis is slow, all trips are made by others.
//
// There are lone trips only with a client that ends a call at its context's
// deadline, which go-redis does if asked to (ContextTimeoutEnabled). A clone of
// the client with shorter timeouts (WithTimeout) was no way out: it has none of
// the hooks (go-redis 9.23).
type Lone struct {
	lane    *lane
	trip    *trip
	tasks   [1]*task
	results [1]result
	err     error
	call    loneCall
}

// begin returns a trip for k that the caller makes, nil if it has to travel in
// the ordinary way.
func (l *lane) begin(k *task) *Lone {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Where several went together, more will come while this one is away.
	alone := len(l.under) == 0 && l.size <= 1
	// Before the first trip nothing is known, and there may be no connection.
	fast := !l.health.answered.IsZero() && l.took <= loneTrip && l.health.failures == 0
	if !l.heeds || !alone || !fast || l.closed || l.standby.inUse() {
		return nil
	}
	now := time.Now()
	lone := &Lone{lane: l, trip: l.newTrip(), tasks: [1]*task{k}, call: loneCall{Context: l.room.ctx, deadline: now.Add(loneTimeout)}}
	lone.trip.sent = now
	l.lone = lone
	if l.loneTimer == nil {
		l.loneTimer = time.AfterFunc(loneTimeout, l.loneIsLate)
	} else {
		l.loneTimer.Reset(loneTimeout)
	}
	return lone
}

// Travel makes the trip. Should it fail, for whatever reason, it is made again
// in the ordinary way, and that one's answer counts: no operation does harm if
// it is done twice.
func (o *Lone) Travel() {
	o.err = errNotReturned
	// Deferred: a hook of the client may end the goroutine, as a test's Fatal does.
	defer o.back()
	o.err = o.lane.send(&o.call, o.lane.rdb, batch{o.tasks[:], o.results[:]})
}

// errNotReturned is the error of a call that has ended its goroutine.
var errNotReturned = errors.New("redis: " + clientHook + " has ended the goroutine of the call")

// back takes what the trip came to.
func (o *Lone) back() {
	l, k, err, sent := o.lane, o.tasks[0], o.err, o.trip.sent
	o.call.end(context.Canceled)
	k.result = o.results[0]
	if k.err == nil && k.reply == nil {
		k.err = err
	}
	answered := k.err == nil || refused(k.err) && !passes(k.err) && !redirects(k.err)

	l.mu.Lock()
	l.lone = nil
	l.loneTimer.Stop()
	o.trip.sent = time.Time{}
	if answered {
		l.heard(sent, err)
	} else {
		l.took = loneTimeout // until a trip tells better
		if ambiguous(k.err) {
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
		go l.travel(o.trip)
		return
	}
	l.end(o.trip)
}

// loneIsLate ends the call of a lone trip whose time is up. The timer may be that of
// one before.
func (l *lane) loneIsLate() {
	l.mu.Lock()
	o := l.lone
	l.mu.Unlock()
	if o != nil && !time.Now().Before(o.call.deadline) {
		o.call.end(context.DeadlineExceeded)
	}
}

// loneCall is the context of a lone trip's call. As there is one such trip at a time,
// they share a timer; context.WithTimeout would take five allocations, more than the
// rest of the trip. When the room closes, stop ends it.
type loneCall struct {
	context.Context // the room's, for its values
	deadline        time.Time

	mu   sync.Mutex
	done chan struct{} // nil until asked for
	err  error
}

func (c *loneCall) Deadline() (time.Time, bool) { return c.deadline, true }

func (c *loneCall) Done() <-chan struct{} {
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

func (c *loneCall) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// end ends it with err, unless it has ended before.
func (c *loneCall) end(err error) {
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
