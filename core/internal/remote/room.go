package remote

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed script/prelude.lua
	preludeSource string
	//go:embed script/acquire.lua
	acquireSource string
	//go:embed script/release.lua
	releaseSource string
	//go:embed script/renew.lua
	renewSource string
	//go:embed script/cancel.lua
	cancelSource string
	//go:embed script/main.lua
	mainSource string
)

// maxTrips bounds the calls to Redis under way at once. The client's pool may
// bound them further.
const maxTrips = 64

// ErrRoomClosed is the answer to an operation that was never sent because the
// room had closed.
var ErrRoomClosed = errors.New("core: the locker is closed")

// Room is the one place that talks to Redis. It takes operations and answers
// them; nobody else knows how they travel.
//
// The calls are made by its own goroutines: with Redis stopped, a go-redis call
// with a context of 200 ms was measured to return after 5 s, so nobody who has a
// deadline may be inside one.
type Room struct {
	rdb    redis.UniversalClient
	names  Keyspace
	script *redis.Script
	limit  int

	// ctx is every call's: it ends when the room closes.
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	pending []trip
	running int
	closed  bool
	idle    chan struct{} // closed when running falls to 0, if someone waits
}

// trip is an operation and where its answer goes.
type trip struct {
	op   Op
	done func(Answer)
}

// Answer is the outcome of a trip. If Err is not nil and not ErrRoomClosed the
// outcome is ambiguous: the operation may have been done, may be done yet, or
// may never be.
type Answer struct {
	Reply Reply
	Err   error
	// Sent is a moment before the operation was first sent: what it granted
	// began no earlier.
	Sent time.Time
}

// NewRoom returns a room whose names start with prefix.
func NewRoom(rdb redis.UniversalClient, prefix string) *Room {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Room{
		rdb:   rdb,
		names: Keyspace{prefix},
		script: redis.NewScript(preludeSource + acquireSource + releaseSource +
			renewSource + cancelSource + mainSource),
		limit:  maxTrips,
		ctx:    ctx,
		cancel: cancel,
	}
	if c, ok := rdb.(interface{ Options() *redis.Options }); ok {
		if o := c.Options(); o.PoolSize > 0 {
			r.limit = min(r.limit, o.PoolSize)
		}
	}
	return r
}

// Do sends op, in time, and calls done exactly once, from another goroutine. It
// never blocks.
func (r *Room) Do(op Op, done func(Answer)) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		go done(Answer{Err: ErrRoomClosed, Sent: time.Now()})
		return
	}
	r.pending = append(r.pending, trip{op, done})
	start := r.running < r.limit
	if start {
		r.running++
	}
	r.mu.Unlock()
	if start {
		go r.work()
	}
}

// work makes trips until nothing is pending.
func (r *Room) work() {
	for {
		r.mu.Lock()
		if len(r.pending) == 0 {
			r.running--
			if r.running == 0 && r.idle != nil {
				close(r.idle)
				r.idle = nil
			}
			r.mu.Unlock()
			return
		}
		t := r.pending[0]
		r.pending[0] = trip{}
		r.pending = r.pending[1:]
		r.mu.Unlock()
		t.done(r.call(t.op))
	}
}

func (r *Room) call(op Op) Answer {
	keys, args := op.appendTo(r.names, make([]string, 0, 3), append(make([]any, 0, 7), r.names.prefix))
	a := Answer{Sent: time.Now()}
	if a.Err = r.ctx.Err(); a.Err != nil {
		a.Err = ErrRoomClosed
		return a
	}
	// Run sends EVALSHA and, if the server does not know the script (it was
	// restarted, or is new after a failover), EVAL.
	replies, err := r.script.Run(r.ctx, r.rdb, keys, args...).Slice()
	switch {
	case err != nil:
		a.Err = err
	case len(replies) != 1:
		a.Err = fmt.Errorf("redis: %d replies for one operation", len(replies))
	default:
		a.Reply, a.Err = parseReply(replies[0])
	}
	return a
}

// Settle waits until all operations are answered, with those that their answers
// called for, or ctx ends. New ones are still taken.
func (r *Room) Settle(ctx context.Context) error {
	r.mu.Lock()
	if r.running == 0 {
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
	return r.Settle(ctx)
}
