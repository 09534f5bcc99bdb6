package remote

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxOps is how many operations travel in one trip at the most: a script
	// runs alone, and everybody else's commands wait for its end.
	maxOps = 64
	// maxTrips is how many trips are under way while Redis answers. The fewer
	// there are, the more operations each takes along, and the less they cost;
	// with three, the server works on one while others are on their way. (To hold
	// back what is pending until those under way have come back, so that it goes
	// with what their answers call for, was measured to gain nothing.)
	maxTrips = 3
	// slowTrip is when a trip's place is given to another: its connection may
	// be dead, and nobody else's operations should wait for that to be found
	// out.
	slowTrip = 50 * time.Millisecond
	// maxConnections bounds the trips under way in any case. The client's pool
	// may bound them further.
	maxConnections = 64
)

// lane carries operations to one server and back.
//
// They travel in groups: what is pending when a trip starts goes together. A
// lone operation goes at once, and alone. A trip that fails is an ambiguous
// answer to each of its operations.
type lane struct {
	room    *Room
	rdb     redis.UniversalClient
	node    string   // its address
	heeds   bool     // rdb ends a call at its context's deadline
	standby *standby // carries what rdb does not; nil if there is none
	send    sender
	group   int // operations in one trip, at the most
	repeats repeats
	trips   int // under way at once, not counting slow ones
	crowd   int // operations in a trip from which on there is one at once; zero: never
	limit   int // under way at once, with slow ones
	// detour, or nil, takes over a task that this server did not carry out but
	// that may yet be, by another server or later; false if it does not.
	detour func(k *task, sent time.Time) bool
	// fails, or nil, is told of each trip that had no answer.
	fails func()

	mu      sync.Mutex
	pending taskLine
	under   []*trip // under way, the oldest first
	ended   []*trip // to be used again
	watch   watch
	// The one that is under way, and what ends it.
	lone      *Lone
	loneTimer *time.Timer
	// Of the last trip: how many operations it had, and, if it was answered, how
	// long it took.
	size   int
	took   time.Duration
	health health
	// retired: no key leads here any more, and nobody asks whether it is back.
	closed, retired bool
}

// sender is a method of a courier.
type sender func(ctx context.Context, rdb redis.UniversalClient, b batch) error

// trip is a worker that carries tasks to Redis and back, one group after
// another.
type trip struct {
	batch
	// Guarded by lane.mu.
	sent    time.Time     // of the present attempt
	givenUp chan struct{} // closed when nobody waits for that any more; see standby
}

// newLane returns a lane to rdb's server.
func newLane(room *Room, rdb redis.UniversalClient, send sender) *lane {
	l := &lane{
		room:    room,
		rdb:     rdb,
		send:    send,
		group:   maxOps,
		repeats: repeatsOf(rdb),
		limit:   maxConnections,
	}
	if c, ok := rdb.(interface{ Options() *redis.Options }); ok {
		o := c.Options()
		l.node = o.Addr
		l.heeds = o.ContextTimeoutEnabled && room.ack.Replicas == 0 // a lone trip has no time for replicas
		if o.PoolSize > 0 {
			l.limit = min(l.limit, o.PoolSize)
		}
	}
	l.trips = min(maxTrips, l.limit)
	if !l.closes() {
		l.standby = newStandby(l)
	}
	return l
}

// closes reports whether the connections of the lane's client can be closed here.
func (l *lane) closes() bool {
	return l.room.conns != nil && !l.room.conns.bypassed
}

// do sends k's operation, in time. It never blocks.
func (l *lane) do(k *task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enqueue(k)
	l.start()
}

// enqueue has k wait for the next trip. The caller holds mu.
func (l *lane) enqueue(k *task) {
	l.pending.push(k)
	k.at.Store(l)
}

// withdraw takes k out of the line of what is pending, and reports whether it was
// in it.
func (l *lane) withdraw(k *task) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.at.Load() != l {
		return false
	}
	k.at.Store(nil)
	l.pending.remove(k)
	return true
}

// taskLine is what is pending, in the order in which it came.
type taskLine struct {
	first, last *task
	length      int
}

func (n *taskLine) push(k *task) {
	if k.prev = n.last; k.prev != nil {
		k.prev.next = k
	} else {
		n.first = k
	}
	n.last = k
	n.length++
}

func (n *taskLine) remove(k *task) {
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
func (n *taskLine) take(to []*task, most int) []*task {
	for range min(most, n.length) {
		k := n.first
		n.remove(k)
		k.at.Store(nil)
		to = append(to, k)
	}
	return to
}

// start starts a trip, or leaves what is pending to those under way. The caller
// holds mu.
func (l *lane) start() {
	if len(l.under) < l.most() {
		l.depart()
	}
}

// most is how many trips may be under way at once, not counting slow ones. The
// caller holds mu.
func (l *lane) most() int {
	if l.crowd > 0 && l.size >= l.crowd {
		return 1
	}
	return l.trips
}

// depart starts a trip. The caller holds mu.
func (l *lane) depart() {
	go l.travel(l.newTrip())
}

// slow counts the trips that have been under way for too long. The caller holds
// mu.
func (l *lane) slow() int {
	before := time.Now().Add(-slowTrip)
	n := 0
	for _, t := range l.under {
		if !t.sent.IsZero() && !t.sent.After(before) {
			n++
		}
	}
	return n
}

// gathers tells whether a trip should let others run first. Those whom the last
// one's answers have woken, and who are about to ask for more, then go with this
// one, and the same operations make half as many trips. Where the last one had a
// single operation nobody is to be expected, and on a busy machine it could be
// long until it is this one's turn again.
func (l *lane) gathers() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size > 1
}

// travel makes trips until nothing is pending.
func (l *lane) travel(t *trip) {
	for {
		if l.gathers() {
			runtime.Gosched()
		}
		l.mu.Lock()
		if n := len(l.under); l.pending.length == 0 || n > l.most() && n-l.slow() > l.most() { // slow ones have come back
			l.end(t)
			l.mu.Unlock()
			return
		}
		t.tasks = l.pending.take(t.tasks[:0], l.group)
		l.size = len(t.tasks)
		l.sends(t)
		l.mu.Unlock()

		l.carry(t)
	}
}

// sends notes that an attempt of t is about to be sent. The caller holds mu.
func (l *lane) sends(t *trip) {
	t.sent = time.Now()
	for _, k := range t.tasks {
		k.left.CompareAndSwap(0, 1+int64(t.sent.Sub(l.room.begun)))
	}
	if len(t.tasks) > 0 {
		l.watch.names = t.tasks[0].op.names
	}
	l.standby.sends(t)
	l.watchTrips()
}

// newTrip puts a trip under way. The caller holds mu.
func (l *lane) newTrip() *trip {
	t := &trip{}
	if n := len(l.ended); n > 0 {
		t, l.ended = l.ended[n-1], l.ended[:n-1]
	}
	l.under = append(l.under, t)
	return t
}

// end takes t, which nobody uses after that, off those under way. The caller holds
// mu.
func (l *lane) end(t *trip) {
	for i, u := range l.under {
		if u == t {
			l.under = slices.Delete(l.under, i, i+1)
			if len(l.ended) < l.trips {
				t.sent, t.givenUp, t.tasks = time.Time{}, nil, t.tasks[:0]
				l.ended = append(l.ended, t)
			}
			return
		}
	}
}

// carry makes one trip, if need be again, and answers each of its tasks. Its first
// attempt is about to be sent.
func (l *lane) carry(t *trip) {
	sent := t.sent
	t.results = slices.Grow(t.results[:0], len(t.tasks))[:len(t.tasks)]
	if l.room.ctx.Err() != nil {
		for _, k := range t.tasks {
			k.err = ErrRoomClosed
			k.answer(sent)
		}
		clear(t.tasks)
		return
	}
	err := l.attempt(t)
	for n := 1; ; n++ {
		l.mu.Lock()
		l.heard(t.sent, err)
		l.mu.Unlock()
		if !l.repeats.again(l.room.ctx, n, err) {
			break
		}
		if ambiguous(err) {
			for _, k := range t.tasks {
				k.failed(sent, err)
			}
		}
		l.mu.Lock()
		l.sends(t)
		l.mu.Unlock()
		err = l.attempt(t)
	}
	l.mu.Lock()
	t.sent = time.Time{}
	l.mu.Unlock()
	if l.fails != nil && err != nil && !refused(err) {
		l.fails()
	}
	for i, k := range t.tasks {
		if k.result = t.results[i]; k.err == nil || l.detour == nil || !l.detour(k, sent) {
			k.answer(sent)
		}
	}
	clear(t.tasks)
	clear(t.results)
}

// attempt sends t's operations once.
func (l *lane) attempt(t *trip) error {
	clear(t.results)
	if l.standby != nil {
		return l.standby.attempt(t)
	}
	return l.send(l.room.ctx, l.rdb, t.batch)
}

// stop ends what would go on by itself.
func (l *lane) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.lone != nil {
		l.lone.call.end(context.Canceled)
	}
	for _, t := range []*time.Timer{l.watch.timer, l.health.probe, l.loneTimer} {
		if t != nil {
			t.Stop()
		}
	}
}

// retire has what is pending carried yet, and no more than that.
func (l *lane) retire() {
	l.mu.Lock()
	l.retired = true
	l.mu.Unlock()
	l.standby.close()
}
