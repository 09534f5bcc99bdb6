package remote

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/panics"
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
	conns  *connections // of rdb, if that is the room's own; else nil
	names  *Keyspace
	ack    Ack
	single *lane   // nil with a cluster
	places *places // nil with a single server
	begun  time.Time
	ctx    context.Context // every call's: it ends when the room closes
	cancel context.CancelFunc

	bulletin bulletin
	panics   panics.Log
	asks     sync.WaitGroup           // questions over new connections; they end with ctx
	listener atomic.Pointer[Listener] // the last one; nil if there is none

	closed atomic.Bool
	open   atomic.Int64                  // operations that are not answered, and what runs aside
	idle   atomic.Pointer[chan struct{}] // closed when there are none, if someone waits
	tasks  sync.Pool                     // of *task, to be used again
}

// Task is an operation that has been asked for, until it is answered.
type Task = task

// task is an operation and where its answer goes.
type task struct {
	room *Room
	op   Op
	done func(Answer)

	// at is the lane in whose line it is pending, between prev and next, which that
	// lane guards; nil once it is on its way.
	at         atomic.Pointer[lane]
	prev, next *task

	// left is when it left the process: one nanosecond more than has passed since the
	// room's begin. Zero if it has not.
	left atomic.Int64

	// Of the last trip for it.
	result
	// kept is set if an attempt that was given up may still look at it.
	kept bool

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
	r := k.room
	if !k.kept {
		*k = task{}
		r.tasks.Put(k)
	}
	r.settled()
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

// Config is how a room uses its client.
type Config struct {
	// Prefix is what names in Redis start with.
	Prefix string
	// Ack is what operations wait for.
	Ack Ack
	// Own has the room make a client of its own from the options of the one that it
	// is given, if that can be done: see newOwn.
	Own bool
}

// NewRoom returns a room that uses rdb as it is, and whose names start with prefix.
func NewRoom(rdb redis.UniversalClient, prefix string) *Room {
	return Open(rdb, Config{Prefix: prefix})
}

// Open returns a room. It has to be closed, and then disconnected.
func Open(rdb redis.UniversalClient, cfg Config) *Room {
	r := &Room{rdb: rdb, ack: cfg.Ack, begun: time.Now()}
	if cfg.Own {
		if own, conns := newOwn(rdb, &r.panics); own != nil {
			r.rdb, r.conns = own, conns
		}
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	c, cluster := r.rdb.(clusterClient)
	r.names = newKeyspace(cfg.Prefix, cluster)
	if cluster {
		r.places = newPlaces(r, c)
	} else {
		r.single = newLane(r, r.rdb, newCourier(r).toServer)
	}
	return r
}

// Names returns what key is called in Redis.
func (r *Room) Names(key string) Names { return r.names.Names(key) }

// Do sends op, in time, and calls done exactly once, from another goroutine,
// unless the operation is withdrawn. It never blocks. The task must not be used any
// more when done has returned.
func (r *Room) Do(op Op, done func(Answer)) *Task {
	k, ok := r.admit(op, done)
	if !ok {
		return nil
	}
	r.send(k)
	return k
}

// Withdraw takes an operation back that has not left this process, and reports
// whether it has: nothing of it will be done or answered. k may be nil.
func (r *Room) Withdraw(k *Task) bool {
	if k == nil {
		return false
	}
	l := k.at.Load()
	if l == nil || !l.withdraw(k) {
		return false
	}
	r.settled()
	return true
}

// Begin is Do for a caller that would wait for the answer in any case. If it
// returns a trip, the caller has to make it, at once and without a lock that
// done takes: done is called by it, or later. Otherwise it returns the task, as Do
// does.
func (r *Room) Begin(op Op, done func(Answer)) (*Lone, *Task) {
	k, ok := r.admit(op, done)
	if !ok {
		return nil, nil
	}
	l := r.single
	if l == nil {
		l = r.places.of(op.names)
	}
	if l != nil {
		if lone := l.begin(k); lone != nil {
			return lone, nil
		}
	}
	r.send(k)
	return nil, k
}

// Left returns when an operation has left this process, and false if it has not.
func (r *Room) Left(k *Task) (time.Time, bool) {
	left := k.left.Load()
	return r.begun.Add(time.Duration(left - 1)), left != 0
}

// admit counts an operation in, unless the room is closed.
func (r *Room) admit(op Op, done func(Answer)) (*task, bool) {
	r.open.Add(1)
	if r.closed.Load() {
		go func() {
			done(Answer{Err: ErrRoomClosed, Sent: time.Now()})
			r.settled()
		}()
		return nil, false
	}
	k, _ := r.tasks.Get().(*task)
	if k == nil {
		k = &task{}
	}
	k.room, k.op, k.done = r, op, done
	return k, true
}

// Callback is Aside for code that is not ours, such as an observer's. A panic there is
// logged, and ends there.
func (r *Room) Callback(f func()) {
	r.Aside(func() { r.panics.Run("an observer", f) })
}

// Aside runs f, which may take its time, in a goroutine of its own, for which Settle
// and Close wait as they do for an operation.
func (r *Room) Aside(f func()) {
	r.open.Add(1)
	go func() {
		defer r.settled()
		f()
	}()
}

// send has k carried by the lane that leads to its keys.
func (r *Room) send(k *task) {
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

// Disconnect closes the clients that the room has made, once it is closed and
// nothing listens any more.
func (r *Room) Disconnect() {
	asked := make(chan struct{})
	go func() {
		r.asks.Wait()
		close(asked)
	}()
	select {
	case <-asked:
	case <-time.After(closeGrace): // in code of the client's options that is not ours
	}
	lanes := []*lane{r.single}
	if r.places != nil {
		lanes = r.places.all()
	}
	for _, l := range lanes {
		l.standby.close()
	}
	if r.conns != nil {
		r.conns.stop()
		_ = r.rdb.Close()
	}
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
