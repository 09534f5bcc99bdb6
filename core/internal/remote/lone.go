package remote

import (
	"context"
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
	room *Room
	trip *trip
	task task
}

// Begin is Do for a caller that would wait for the answer in any case. If it
// returns a trip, the caller has to make it, at once and without a lock that
// done takes: done is called by it, or later.
func (r *Room) Begin(op Op, done func(Answer)) *Lone {
	r.mu.Lock()
	// Where several went together, more will come while this one is away.
	alone := len(r.under) == 0 && r.size <= 1
	// Before the first trip nothing is known, and there may be no connection.
	fast := !r.health.answered.IsZero() && r.took <= loneTrip && r.health.failures == 0
	if !r.heeds || r.closed || !alone || !fast {
		r.mu.Unlock()
		r.Do(op, done)
		return nil
	}
	l := &Lone{r, &trip{sent: time.Now()}, task{op: op, done: done}}
	r.under = append(r.under, l.trip)
	r.mu.Unlock()
	return l
}

// Travel makes the trip. Should it fail, for whatever reason, it is made again
// in the ordinary way, and that one's answer counts: no operation does harm if
// it is done twice.
func (l *Lone) Travel() {
	r := l.room
	ctx, cancel := context.WithTimeout(r.ctx, loneTimeout)
	defer cancel()
	sent := l.trip.sent
	replies, err := r.script.run(ctx, r.rdb, r.names.prefix, []task{l.task})
	answered := err == nil || refused(err) && !passes(err)

	r.mu.Lock()
	l.trip.sent = time.Time{}
	if answered {
		r.heard(sent, err)
	} else {
		r.took = loneTimeout // until a trip tells better
		if !refused(err) {
			l.task.failed(sent, err)
		}
		r.enqueue(l.task)
	}
	r.mu.Unlock()
	if answered {
		l.task.answer(replies, 0, sent, err)
	}

	// Under way until here, so that who waits for the end of all trips waits for
	// what the answer, or its absence, has called for.
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pending) > 0 {
		go r.travel(l.trip)
		return
	}
	r.end(l.trip)
}
