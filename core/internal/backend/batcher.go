package backend

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxOps is how many operations travel in one flight at the most: a script
	// runs alone, and everybody else's commands wait for its end.
	maxOps = 64
	// maxFlights is how many flights are under way while Redis answers. The fewer
	// there are, the more operations each takes along, and the less they cost;
	// with three, the server works on one while others are on their way. (To hold
	// back what is pending until those under way have come back, so that it goes
	// with what their answers call for, was measured to gain nothing.)
	maxFlights = 3
	// slowFlight is when a flight's place is given to another: its connection may
	// be dead, and nobody else's operations should wait for that to be found
	// out.
	slowFlight = 50 * time.Millisecond
	// maxConnections bounds the flights under way in any case. The client's pool
	// may bound them further.
	maxConnections = 64
)

// batcher carries operations to one server and back.
//
// They travel in groups: what is pending when a flight starts goes together. A
// lone operation goes at once, and alone. A flight that fails is an ambiguous
// answer to each of its operations.
type batcher struct {
	backend         *Backend
	rdb             redis.UniversalClient
	node            string   // its address
	honoursDeadline bool     // rdb ends a call at its context's deadline
	standby         *standby // carries what rdb does not; nil if there is none
	send            sender
	group           int // operations in one flight, at the most
	repeats         repeats
	maxFlights      int // under way at once, not counting slow ones
	crowd           int // operations in a flight from which on there is one at once; zero: never
	limit           int // under way at once, with slow ones
	// reroute, or nil, takes over an operation that this server did not carry out but
	// that may yet be, by another server or later; false if it does not.
	reroute func(k *call, sent time.Time) bool
	// onFailure, or nil, is told of each flight that had no answer.
	onFailure func()

	mu       sync.Mutex
	pending  callQueue
	inFlight []*flight // under way, the oldest first
	free     []*flight // to be used again
	watch    watch
	// The one that is under way, and what ends it.
	inline      *InlineCall
	inlineTimer *time.Timer
	// Of the last flight: how many operations it had, and, if it was answered, how
	// long it took.
	size   int
	took   time.Duration
	health health
	// retired: no key leads here any more, and nobody asks whether it is back.
	closed, retired bool
}

// sender is a method of an executor.
type sender func(ctx context.Context, rdb redis.UniversalClient, b batch) error

// flight is a worker that carries operations to Redis and back, one group after
// another.
type flight struct {
	batch
	// Guarded by batcher.mu.
	sent    time.Time     // of the present attempt
	givenUp chan struct{} // closed when nobody waits for that any more; see standby
}

// newBatcher returns a batcher to rdb's server.
func newBatcher(be *Backend, rdb redis.UniversalClient, send sender) *batcher {
	l := &batcher{
		backend: be,
		rdb:     rdb,
		send:    send,
		group:   maxOps,
		repeats: repeatsOf(rdb),
		limit:   maxConnections,
	}
	if c, ok := rdb.(interface{ Options() *redis.Options }); ok {
		o := c.Options()
		l.node = o.Addr
		l.honoursDeadline = o.ContextTimeoutEnabled && be.ack.Replicas == 0 // an inline call has no time for replicas
		if o.PoolSize > 0 {
			l.limit = min(l.limit, o.PoolSize)
		}
	}
	l.maxFlights = min(maxFlights, l.limit)
	if !l.closes() {
		l.standby = newStandby(l)
	}
	return l
}

// closes reports whether the connections of the batcher's client can be closed here.
func (bt *batcher) closes() bool {
	return bt.backend.conns != nil && !bt.backend.conns.bypassed
}

// submit sends k's operation, in time. It never blocks.
func (bt *batcher) submit(k *call) {
	bt.mu.Lock()
	defer bt.mu.Unlock()
	bt.enqueue(k)
	bt.start()
}

// enqueue has k wait for the next flight. The caller holds mu.
func (bt *batcher) enqueue(k *call) {
	bt.pending.push(k)
	k.at.Store(bt)
}

// withdraw takes k out of the line of what is pending, and reports whether it was
// in it.
func (bt *batcher) withdraw(k *call) bool {
	bt.mu.Lock()
	defer bt.mu.Unlock()
	if k.at.Load() != bt {
		return false
	}
	k.at.Store(nil)
	bt.pending.remove(k)
	return true
}

// callQueue is what is pending, in the order in which it came.
type callQueue struct {
	first, last *call
	length      int
}

func (n *callQueue) push(k *call) {
	if k.prev = n.last; k.prev != nil {
		k.prev.next = k
	} else {
		n.first = k
	}
	n.last = k
	n.length++
}

func (n *callQueue) remove(k *call) {
	if k.prev != nil {
		k.prev.next = k.next
	} else {
		n.first = k.next
	}
	if k.next != nil {
		k.next.prev = k.prev
	} else {
		n.last = k.prev
	}
	k.prev, k.next = nil, nil
	n.length--
}

// take moves as many as most to the end of to.
func (n *callQueue) take(to []*call, most int) []*call {
	for range min(most, n.length) {
		k := n.first
		n.remove(k)
		k.at.Store(nil)
		to = append(to, k)
	}
	return to
}

// start starts a flight, or leaves what is pending to those under way. The caller
// holds mu.
func (bt *batcher) start() {
	if len(bt.inFlight) < bt.most() {
		bt.dispatch()
	}
}

// most is how many flights may be under way at once, not counting slow ones. The
// caller holds mu.
func (bt *batcher) most() int {
	if bt.crowd > 0 && bt.size >= bt.crowd {
		return 1
	}
	return bt.maxFlights
}

// dispatch starts a flight. The caller holds mu.
func (bt *batcher) dispatch() {
	go bt.run(bt.newFlight())
}

// slow counts the flights that have been under way for too long. The caller holds
// mu.
func (bt *batcher) slow() int {
	before := time.Now().Add(-slowFlight)
	n := 0
	for _, t := range bt.inFlight {
		if !t.sent.IsZero() && !t.sent.After(before) {
			n++
		}
	}
	return n
}

// gathers tells whether a flight should let others run first. Those whom the last
// one's answers have woken, and who are about to ask for more, then go with this
// one, and the same operations make half as many flights. Where the last one had a
// single operation nobody is to be expected, and on a busy machine it could be
// long until it is this one's turn again.
func (bt *batcher) gathers() bool {
	bt.mu.Lock()
	defer bt.mu.Unlock()
	return bt.size > 1
}

// run makes flights until nothing is pending.
func (bt *batcher) run(t *flight) {
	for {
		if bt.gathers() {
			runtime.Gosched()
		}
		bt.mu.Lock()
		if n := len(bt.inFlight); bt.pending.length == 0 || n > bt.most() && n-bt.slow() > bt.most() { // slow ones have come back
			bt.end(t)
			bt.mu.Unlock()
			return
		}
		t.calls = bt.pending.take(t.calls[:0], bt.group)
		bt.size = len(t.calls)
		bt.markSent(t)
		bt.mu.Unlock()

		bt.exec(t)
	}
}

// markSent notes that an attempt of t is about to be sent. The caller holds mu.
func (bt *batcher) markSent(t *flight) {
	t.sent = time.Now()
	for _, k := range t.calls {
		k.departed.CompareAndSwap(0, 1+int64(t.sent.Sub(bt.backend.begun)))
	}
	if len(t.calls) > 0 {
		bt.watch.names = t.calls[0].op.names
	}
	bt.standby.markSent(t)
	bt.watchFlights()
}

// newFlight puts a flight under way. The caller holds mu.
func (bt *batcher) newFlight() *flight {
	t := &flight{}
	if n := len(bt.free); n > 0 {
		t, bt.free = bt.free[n-1], bt.free[:n-1]
	}
	bt.inFlight = append(bt.inFlight, t)
	return t
}

// end takes t, which nobody uses after that, off those under way. The caller holds
// mu.
func (bt *batcher) end(t *flight) {
	for i, u := range bt.inFlight {
		if u == t {
			bt.inFlight = slices.Delete(bt.inFlight, i, i+1)
			if len(bt.free) < bt.maxFlights {
				t.sent, t.givenUp, t.calls = time.Time{}, nil, t.calls[:0]
				bt.free = append(bt.free, t)
			}
			return
		}
	}
}

// exec makes one flight, if need be again, and answers each of its operations. Its first
// attempt is about to be sent.
func (bt *batcher) exec(t *flight) {
	sent := t.sent
	t.results = slices.Grow(t.results[:0], len(t.calls))[:len(t.calls)]
	if bt.backend.ctx.Err() != nil {
		for _, k := range t.calls {
			k.err = ErrClosed
			k.answer(sent)
		}
		clear(t.calls)
		return
	}
	err := bt.attempt(t)
	for n := 1; ; n++ {
		bt.mu.Lock()
		bt.record(t.sent, err)
		bt.mu.Unlock()
		if !bt.repeats.again(bt.backend.ctx, n, err) {
			break
		}
		if mayBeDone(err) {
			for _, k := range t.calls {
				k.failed(sent, err)
			}
		}
		bt.mu.Lock()
		bt.markSent(t)
		bt.mu.Unlock()
		err = bt.attempt(t)
	}
	bt.mu.Lock()
	t.sent = time.Time{}
	bt.mu.Unlock()
	if bt.onFailure != nil && err != nil && !isServerReply(err) {
		bt.onFailure()
	}
	for i, k := range t.calls {
		if k.result = t.results[i]; k.err == nil || bt.reroute == nil || !bt.reroute(k, sent) {
			k.answer(sent)
		}
	}
	clear(t.calls)
	clear(t.results)
}

// attempt sends t's operations once.
func (bt *batcher) attempt(t *flight) error {
	clear(t.results)
	if bt.standby != nil {
		return bt.standby.attempt(t)
	}
	return bt.send(bt.backend.ctx, bt.rdb, t.batch)
}

// stop ends what would go on by itself.
func (bt *batcher) stop() {
	bt.mu.Lock()
	defer bt.mu.Unlock()
	bt.closed = true
	if bt.inline != nil {
		bt.inline.ctx.end(context.Canceled)
	}
	for _, t := range []*time.Timer{bt.watch.timer, bt.health.probe, bt.inlineTimer} {
		if t != nil {
			t.Stop()
		}
	}
}

// retire has what is pending carried yet, and no more than that.
func (bt *batcher) retire() {
	bt.mu.Lock()
	bt.retired = true
	bt.mu.Unlock()
	bt.standby.close()
}
