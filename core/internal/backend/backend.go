package backend

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/panics"
)

// ErrClosed is the answer to an operation that was never sent because the
// backend had closed.
var ErrClosed = errors.New("core: the locker is closed")

// Backend is the one place that talks to Redis. It takes operations and answers
// them; nobody else knows how they travel: over one batcher to a single server, or
// over one to each master of a cluster.
//
// The calls are made by its own goroutines: with Redis stopped, a go-redis call
// with a context of 200 ms was measured to return after 5 s, so nobody who has a
// deadline may be inside one.
type Backend struct {
	rdb     redis.UniversalClient
	conns   *connections // of rdb, if that is the backend's own; else nil
	names   *Keyspace
	ack     Ack
	only    *batcher // nil with a cluster
	slotMap *slotMap // nil with a single server
	begun   time.Time
	ctx     context.Context // every call's: it ends when the backend closes
	cancel  context.CancelFunc

	notifier  notifier
	panics    panics.Log
	questions sync.WaitGroup           // questions over new connections; they end with ctx
	listener  atomic.Pointer[Listener] // the last one; nil if there is none

	closed  atomic.Bool
	open    atomic.Int64                  // operations that are not answered, and what runs aside
	drained atomic.Pointer[chan struct{}] // closed when there are none, if someone waits
	calls   sync.Pool                     // of *call, to be used again
}

// Call is an operation that has been asked for, until it is answered.
type Call = call

// call is an operation and where its answer goes.
type call struct {
	backend *Backend
	op      Op
	done    func(Answer)

	// at is the batcher in whose line it is pending, between prev and next, which that
	// batcher guards; nil once it is on its way.
	at         atomic.Pointer[batcher]
	prev, next *call

	// departed is when it left the process: one nanosecond more than has passed since the
	// backend's begin. Zero if it has not.
	departed atomic.Int64

	// Of the last flight for it.
	result
	// kept is set if an attempt that was given up may still look at it.
	kept bool

	// Of the first flight for it that failed, if there was one.
	sent     time.Time
	fault    error
	reroutes reroutes
}

// failed notes that a flight that was sent then had no answer.
func (k *call) failed(sent time.Time, err error) {
	if k.fault == nil {
		k.sent, k.fault = sent, err
	}
}

// answer hands on what the last flight, sent then, came to.
func (k *call) answer(sent time.Time) {
	a := Answer{Err: k.err, Sent: sent, Unacked: k.unacked}
	if a.Err == nil {
		a.Reply, a.Err = parseReply(k.reply)
	}
	if k.fault != nil {
		a.Sent, a.Repeated = k.sent, true
		if errors.Is(a.Err, ErrClosed) {
			a.Err = k.fault // it was sent, that time
		}
	}
	k.done(a)
	r := k.backend
	if !k.kept {
		*k = call{}
		r.calls.Put(k)
	}
	r.finished()
}

// Answer is the outcome of an operation. If Err is not nil and not ErrClosed
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

// Config is how a backend uses its client.
type Config struct {
	// Prefix is what names in Redis start with.
	Prefix string
	// Ack is what operations wait for.
	Ack Ack
	// Own has the backend make a client of its own from the options of the one that it
	// is given, if that can be done: see newOwn.
	Own bool
}

// New returns a backend that uses rdb as it is, and whose names start with prefix.
func New(rdb redis.UniversalClient, prefix string) *Backend {
	return Open(rdb, Config{Prefix: prefix})
}

// Open returns a backend. It has to be closed, and then disconnected.
func Open(rdb redis.UniversalClient, cfg Config) *Backend {
	r := &Backend{rdb: rdb, ack: cfg.Ack, begun: time.Now()}
	if cfg.Own {
		if own, conns := newOwn(rdb, &r.panics); own != nil {
			r.rdb, r.conns = own, conns
		}
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	c, cluster := r.rdb.(clusterClient)
	r.names = newKeyspace(cfg.Prefix, cluster)
	if cluster {
		r.slotMap = newSlotMap(r, c)
	} else {
		r.only = newBatcher(r, r.rdb, newExecutor(r).execOnServer)
	}
	return r
}

// Names returns what key is called in Redis.
func (be *Backend) Names(key string) Names { return be.names.Names(key) }

// Do sends op, in time, and calls done exactly once, from another goroutine,
// unless the operation is withdrawn. It never blocks. The Call must not be used any
// more when done has returned.
func (be *Backend) Do(op Op, done func(Answer)) *Call {
	k, ok := be.admit(op, done)
	if !ok {
		return nil
	}
	be.send(k)
	return k
}

// Withdraw takes an operation back that has not left this process, and reports
// whether it has: nothing of it will be done or answered. k may be nil.
func (be *Backend) Withdraw(k *Call) bool {
	if k == nil {
		return false
	}
	l := k.at.Load()
	if l == nil || !l.withdraw(k) {
		return false
	}
	be.finished()
	return true
}

// Inline is Do for a caller that would wait for the answer in any case. If it
// returns a flight, the caller has to make it, at once and without a lock that
// done takes: done is called by it, or later. Otherwise it returns the Call, as Do
// does.
func (be *Backend) Inline(op Op, done func(Answer)) (*InlineCall, *Call) {
	k, ok := be.admit(op, done)
	if !ok {
		return nil, nil
	}
	l := be.only
	if l == nil {
		l = be.slotMap.of(op.names)
	}
	if l != nil {
		if inline := l.inlineCall(k); inline != nil {
			return inline, nil
		}
	}
	be.send(k)
	return nil, k
}

// SentAt returns when an operation has left this process, and false if it has not.
func (be *Backend) SentAt(k *Call) (time.Time, bool) {
	left := k.departed.Load()
	return be.begun.Add(time.Duration(left - 1)), left != 0
}

// admit counts an operation in, unless the backend is closed.
func (be *Backend) admit(op Op, done func(Answer)) (*call, bool) {
	be.open.Add(1)
	if be.closed.Load() {
		go func() {
			done(Answer{Err: ErrClosed, Sent: time.Now()})
			be.finished()
		}()
		return nil, false
	}
	k, _ := be.calls.Get().(*call)
	if k == nil {
		k = &call{}
	}
	k.backend, k.op, k.done = be, op, done
	return k, true
}

// Callback is Aside for code that is not ours, such as an observer's. A panic there is
// logged, and ends there.
func (be *Backend) Callback(f func()) {
	be.Aside(func() { be.panics.Run("an observer", f) })
}

// Aside runs f, which may take its time, in a goroutine of its own, for which Settle
// and Close wait as they do for an operation.
func (be *Backend) Aside(f func()) {
	be.open.Add(1)
	go func() {
		defer be.finished()
		f()
	}()
}

// send has k carried by the batcher that leads to its keys.
func (be *Backend) send(k *call) {
	if be.only != nil {
		be.only.submit(k)
		return
	}
	be.slotMap.do(k)
}

// Down returns a *DownError if the server that has these names counts as down,
// else nil.
func (be *Backend) Down(n Names) error {
	if be.only != nil {
		return be.only.down()
	}
	return be.slotMap.down(n)
}

// finished counts an answered operation out.
func (be *Backend) finished() {
	if be.open.Add(-1) == 0 {
		if idle := be.drained.Swap(nil); idle != nil {
			close(*idle)
		}
	}
}

// Drain waits until all operations are answered, with those that their answers
// called for, and what runs aside has returned, or ctx ends. New ones are still
// taken.
func (be *Backend) Drain(ctx context.Context) error {
	idle := make(chan struct{})
	for !be.drained.CompareAndSwap(nil, &idle) {
		if other := be.drained.Load(); other != nil {
			idle = *other
			break
		}
	}
	if be.open.Load() == 0 {
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
func (be *Backend) Close(ctx context.Context) error {
	be.closed.Store(true)
	if be.only != nil {
		defer be.only.stop()
	} else {
		defer be.slotMap.stop()
	}
	defer be.cancel()
	return be.Drain(ctx)
}

// Disconnect closes the clients that the backend has made, once it is closed and
// nothing listens any more.
func (be *Backend) Disconnect() {
	asked := make(chan struct{})
	go func() {
		be.questions.Wait()
		close(asked)
	}()
	select {
	case <-asked:
	case <-time.After(closeGrace): // in code of the client's options that is not ours
	}
	lanes := []*batcher{be.only}
	if be.slotMap != nil {
		lanes = be.slotMap.all()
	}
	for _, l := range lanes {
		l.standby.close()
	}
	if be.conns != nil {
		be.conns.stop()
		_ = be.rdb.Close()
	}
}

// resolve returns the server that e hears from: on a cluster, the one that
// operations on its bucket go to. When that changes, the listeners are roused.
func (be *Backend) resolve(e SubscriptionID) (redis.UniversalClient, error) {
	if be.slotMap == nil {
		return be.rdb, nil
	}
	l := be.slotMap.batcherOf[e].Load()
	if l == nil {
		var err error
		if l, err = be.slotMap.resolve(byte(e)); err != nil {
			return nil, err
		}
	}
	return l.rdb, nil
}

// subscribe returns a connection for subscriptions to a server.
func (be *Backend) subscribe(ctx context.Context, at redis.UniversalClient) *redis.PubSub {
	if be.slotMap == nil {
		return at.Subscribe(ctx)
	}
	return at.SSubscribe(ctx)
}
