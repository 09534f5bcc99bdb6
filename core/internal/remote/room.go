package remote

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrRoomClosed is the answer to an operation that was never sent because the
// room had closed.
var ErrRoomClosed = errors.New("core: the locker is closed")

// Room is the one place that talks to Redis. It takes operations and answers
// them; nobody else knows how they travel: over one lane to a single server, or
// over one to each master of a cluster.
//
// The calls are made by its own goroutines: with Redis stopped, a go-redis call
// with a context of 200 ms was measured to return after 5 s, so nobody who has a
// deadline may be inside one.
type Room struct {
	rdb    redis.UniversalClient
	names  *Keyspace
	ack    Ack
	single *lane           // nil with a cluster
	places *places         // nil with a single server
	ctx    context.Context // every call's: it ends when the room closes
	cancel context.CancelFunc

	bulletin bulletin

	closed atomic.Bool
	open   atomic.Int64                  // operations that are not answered, and what runs aside
	idle   atomic.Pointer[chan struct{}] // closed when there are none, if someone waits
}

// task is an operation and where its answer goes.
type task struct {
	room *Room
	op   Op
	done func(Answer)

	// Of the last trip for it.
	reply   any
	err     error
	unacked *AckError

	// Of the first trip for it that failed, if there was one.
	sent    time.Time
	fault   error
	detours detours
}

// failed notes that a trip that was sent then had no answer.
func (k *task) failed(sent time.Time, err error) {
	if k.fault == nil {
		k.sent, k.fault = sent, err
	}
}

// answer hands on what the last trip, sent then, came to.
func (k *task) answer(sent time.Time) {
	a := Answer{Err: k.err, Sent: sent, Unacked: k.unacked}
	if a.Err == nil {
		a.Reply, a.Err = parseReply(k.reply)
	}
	if k.fault != nil {
		a.Sent, a.Repeated = k.sent, true
		if errors.Is(a.Err, ErrRoomClosed) {
			a.Err = k.fault // it was sent, that time
		}
	}
	k.done(a)
	k.room.settled()
}

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
	// Unacked is set if too few replicas have acknowledged it in time.
	Unacked *AckError
}

// NewRoom returns a room whose names start with prefix.
func NewRoom(rdb redis.UniversalClient, prefix string) *Room { return NewRoomAcked(rdb, prefix, Ack{}) }

// NewRoomAcked returns a room whose operations wait for an acknowledgement.
func NewRoomAcked(rdb redis.UniversalClient, prefix string, ack Ack) *Room {
	ctx, cancel := context.WithCancel(context.Background())
	c, cluster := rdb.(clusterClient)
	r := &Room{rdb: rdb, names: newKeyspace(prefix, cluster), ack: ack, ctx: ctx, cancel: cancel}
	if cluster {
		r.places = newPlaces(r, c)
	} else {
		r.single = newLane(r, rdb, newCourier(r.names, ack).toServer)
	}
	return r
}

// Names returns what key is called in Redis.
func (r *Room) Names(key string) Names { return r.names.Names(key) }

// Do sends op, in time, and calls done exactly once, from another goroutine. It
// never blocks.
func (r *Room) Do(op Op, done func(Answer)) {
	if k, ok := r.admit(op, done); ok {
		r.send(k)
	}
}

// Begin is Do for a caller that would wait for the answer in any case. If it
// returns a trip, the caller has to make it, at once and without a lock that
// done takes: done is called by it, or later.
func (r *Room) Begin(op Op, done func(Answer)) *Lone {
	k, ok := r.admit(op, done)
	if !ok {
		return nil
	}
	l := r.single
	if l == nil {
		l = r.places.of(op.names)
	}
	if l != nil {
		if lone := l.begin(k); lone != nil {
			return lone
		}
	}
	r.send(k)
	return nil
}

// admit counts an operation in, unless the room is closed.
func (r *Room) admit(op Op, done func(Answer)) (task, bool) {
	r.open.Add(1)
	if r.closed.Load() {
		go func() {
			done(Answer{Err: ErrRoomClosed, Sent: time.Now()})
			r.settled()
		}()
		return task{}, false
	}
	return task{room: r, op: op, done: done}, true
}

// Aside runs f, whose code is not ours and may take its time, in a goroutine of its
// own, for which Settle and Close wait as they do for an operation.
func (r *Room) Aside(f func()) {
	r.open.Add(1)
	go func() {
		defer r.settled()
		f()
	}()
}

// send has k carried by the lane that leads to its keys.
func (r *Room) send(k task) {
	if r.single != nil {
		r.single.do(k)
		return
	}
	r.places.do(k)
}

// Down returns a *DownError if the server that has these names counts as down,
// else nil.
func (r *Room) Down(n Names) error {
	if r.single != nil {
		return r.single.down()
	}
	return r.places.down(n)
}

// settled counts an answered operation out.
func (r *Room) settled() {
	if r.open.Add(-1) == 0 {
		if idle := r.idle.Swap(nil); idle != nil {
			close(*idle)
		}
	}
}

// Settle waits until all operations are answered, with those that their answers
// called for, and what runs aside has returned, or ctx ends. New ones are still
// taken.
func (r *Room) Settle(ctx context.Context) error {
	idle := make(chan struct{})
	for !r.idle.CompareAndSwap(nil, &idle) {
		if other := r.idle.Load(); other != nil {
			idle = *other
			break
		}
	}
	if r.open.Load() == 0 {
		return nil
	}
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
	r.closed.Store(true)
	if r.single != nil {
		defer r.single.stop()
	} else {
		defer r.places.stop()
	}
	defer r.cancel()
	return r.Settle(ctx)
}

// locate returns the server that e hears from: on a cluster, the one that
// operations on its bucket go to. When that changes, the listeners are roused.
func (r *Room) locate(e Ear) (redis.UniversalClient, error) {
	if r.places == nil {
		return r.rdb, nil
	}
	l := r.places.to[e].Load()
	if l == nil {
		var err error
		if l, err = r.places.locate(byte(e)); err != nil {
			return nil, err
		}
	}
	return l.rdb, nil
}

// subscribe returns a connection for subscriptions to a server.
func (r *Room) subscribe(ctx context.Context, at redis.UniversalClient) *redis.PubSub {
	if r.places == nil {
		return at.Subscribe(ctx)
	}
	return at.SSubscribe(ctx)
}
