package remote

import (
	"context"
	"errors"
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

// ErrRoomClosed is the answer to an operation that was never sent because the
// room had closed.
var ErrRoomClosed = errors.New("core: the locker is closed")

// Room is the one place that talks to Redis. It takes operations and answers
// them; nobody else knows how they travel.
//
// They travel in groups: what is pending when a trip starts goes together, in
// one script call. A lone operation goes at once, and alone. An error of one is
// its own; a trip that fails is an ambiguous answer to each of its operations.
//
// The calls are made by its own goroutines: with Redis stopped, a go-redis call
// with a context of 200 ms was measured to return after 5 s, so nobody who has a
// deadline may be inside one.
type Room struct {
	rdb     redis.UniversalClient
	heeds   bool // rdb ends a call at its context's deadline
	names   *Keyspace
	script  script
	group   int // operations in one trip, at the most
	repeats repeats
	trips   int // under way at once, not counting slow ones
	limit   int // under way at once, with slow ones

	// ctx is every call's: it ends when the room closes.
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	pending [][]task // in groups, each of which is one trip
	spare   [][]task // empty groups, to be used again
	under   []*trip  // under way, the oldest first
	kick    *time.Timer
	kicking bool // kick is set
	// Of the last trip: how many operations it had, and, if it was answered, how
	// long it took.
	size   int
	took   time.Duration
	health health
	closed bool
	idle   chan struct{} // closed when nothing is under way, if someone waits
}

// task is an operation and where its answer goes.
type task struct {
	op   Op
	done func(Answer)

	// Of the first trip for it that failed, if there was one.
	sent  time.Time
	fault error
}

// failed notes that a trip that was sent then had no answer.
func (k *task) failed(sent time.Time, err error) {
	if k.fault == nil {
		k.sent, k.fault = sent, err
	}
}

// answer hands on the i-th of the replies to a trip, or its error.
func (k *task) answer(replies []any, i int, sent time.Time, err error) {
	a := Answer{Err: err, Sent: sent}
	if err == nil {
		a.Reply, a.Err = parseReply(replies[i])
	}
	if k.fault != nil {
		a.Sent, a.Repeated = k.sent, true
		if errors.Is(a.Err, ErrRoomClosed) {
			a.Err = k.fault // it was sent, that time
		}
	}
	k.done(a)
}

// trip is a worker that carries tasks to Redis and back, one group after
// another.
type trip struct{ sent time.Time } // guarded by Room.mu

// Answer is the outcome of an operation. If Err is not nil and not ErrRoomClosed
// the outcome is ambiguous: the operation may have been done, may be done yet,
// or may never be.
type Answer struct {
	Reply Reply
	Err   error
	// Sent is a moment before the operation was first sent: what it granted
	// began no earlier.
	Sent time.Time
	// Repeated is set if the operation was sent more than once, because there was
	// no answer in time. It may have been done more than once.
	Repeated bool
}

// NewRoom returns a room whose names start with prefix.
func NewRoom(rdb redis.UniversalClient, prefix string) *Room {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Room{
		rdb:     rdb,
		names:   newKeyspace(prefix),
		script:  newScript(),
		group:   maxOps,
		repeats: repeatsOf(rdb),
		limit:   maxConnections,
		ctx:     ctx,
		cancel:  cancel,
	}
	if c, ok := rdb.(interface{ Options() *redis.Options }); ok {
		o := c.Options()
		r.heeds = o.ContextTimeoutEnabled
		if o.PoolSize > 0 {
			r.limit = min(r.limit, o.PoolSize)
		}
	}
	r.trips = min(maxTrips, r.limit)
	return r
}

// Names returns what key is called in Redis.
func (r *Room) Names(key string) Names { return r.names.Names(key) }

// Do sends op, in time, and calls done exactly once, from another goroutine. It
// never blocks.
func (r *Room) Do(op Op, done func(Answer)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		go done(Answer{Err: ErrRoomClosed, Sent: time.Now()})
		return
	}
	r.enqueue(task{op: op, done: done})
	r.start()
}

// enqueue puts k into the last group that is pending. The caller holds mu.
func (r *Room) enqueue(k task) {
	last := len(r.pending) - 1
	if last < 0 || len(r.pending[last]) == r.group {
		var group []task
		if n := len(r.spare); n > 0 {
			group, r.spare = r.spare[n-1], r.spare[:n-1]
		}
		r.pending = append(r.pending, group)
		last++
	}
	r.pending[last] = append(r.pending[last], k)
}

// recycle keeps a group for later. The caller holds mu.
func (r *Room) recycle(group []task) {
	if len(r.spare) <= r.trips {
		clear(group)
		r.spare = append(r.spare, group[:0])
	}
}

// start starts a trip, or leaves what is pending to those under way. The caller
// holds mu.
func (r *Room) start() {
	if len(r.under) >= r.trips {
		r.kickLater()
		return
	}
	r.depart()
}

// depart starts a trip. The caller holds mu.
func (r *Room) depart() {
	t := &trip{}
	r.under = append(r.under, t)
	go r.travel(t)
}

// slow counts the trips that have been under way for too long. The caller holds
// mu.
func (r *Room) slow() int {
	before := time.Now().Add(-slowTrip)
	n := 0
	for _, t := range r.under {
		if !t.sent.IsZero() && !t.sent.After(before) {
			n++
		}
	}
	return n
}

// kickLater has a look taken at what is pending, in case the trips under way are
// slow. The caller holds mu.
func (r *Room) kickLater() {
	switch {
	case r.kicking:
		return
	case r.kick == nil:
		r.kick = time.AfterFunc(slowTrip, r.kicked)
	default:
		r.kick.Reset(slowTrip)
	}
	r.kicking = true
}

func (r *Room) kicked() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kicking = false
	if len(r.pending) == 0 {
		return
	}
	if n := len(r.under); n < r.limit && n-r.slow() < r.trips {
		r.depart()
	}
	r.kickLater()
}

// travel makes trips until nothing is pending.
func (r *Room) travel(t *trip) {
	for {
		r.mu.Lock()
		if len(r.pending) == 0 || len(r.under) > r.trips && len(r.under)-r.slow() > r.trips { // slow ones have come back
			r.end(t)
			r.mu.Unlock()
			return
		}
		tasks := r.pending[0]
		r.pending[0] = nil
		r.pending = r.pending[1:]
		t.sent = time.Now()
		r.size = len(tasks)
		r.mu.Unlock()

		r.carry(t, tasks)

		r.mu.Lock()
		r.recycle(tasks)
		r.mu.Unlock()
	}
}

// end takes t off those under way. The caller holds mu.
func (r *Room) end(t *trip) {
	for i, u := range r.under {
		if u == t {
			r.under = append(r.under[:i], r.under[i+1:]...)
			break
		}
	}
	if len(r.under) == 0 && r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
}

// carry makes one trip, if need be again, and answers each of its tasks.
func (r *Room) carry(t *trip, tasks []task) {
	sent := t.sent
	if r.ctx.Err() != nil {
		for i := range tasks {
			tasks[i].answer(nil, i, sent, ErrRoomClosed)
		}
		return
	}
	replies, err := r.script.run(r.ctx, r.rdb, r.names.prefix, tasks)
	for n := 1; ; n++ {
		r.mu.Lock()
		r.heard(t.sent, err)
		r.mu.Unlock()
		if !r.repeats.again(r.ctx, n, err) {
			break
		}
		if !refused(err) {
			for i := range tasks {
				tasks[i].failed(sent, err)
			}
		}
		r.mu.Lock()
		t.sent = time.Now()
		r.mu.Unlock()
		replies, err = r.script.run(r.ctx, r.rdb, r.names.prefix, tasks)
	}
	r.mu.Lock()
	t.sent = time.Time{}
	r.mu.Unlock()
	for i := range tasks {
		tasks[i].answer(replies, i, sent, err)
	}
}

// Settle waits until all operations are answered, with those that their answers
// called for, or ctx ends. New ones are still taken.
func (r *Room) Settle(ctx context.Context) error {
	r.mu.Lock()
	if len(r.under) == 0 {
		r.mu.Unlock()
		return nil
	}
	if r.idle == nil {
		r.idle = make(chan struct{})
	}
	idle := r.idle
	r.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close refuses new operations, waits until those under way are answered or ctx
// ends, and then gives up on the rest. A call that is stuck in the client
// ends with the client's own timeout, or when the client is closed.
func (r *Room) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	defer r.cancel()
	defer r.stopTimers()
	return r.Settle(ctx)
}

func (r *Room) stopTimers() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range []*time.Timer{r.kick, r.health.probe} {
		if t != nil {
			t.Stop()
		}
	}
}
