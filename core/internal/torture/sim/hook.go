package sim

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// hook is what stands between a Locker and Redis: its client's calls and connections.
type hook struct {
	*world
	process         uint64
	honoursDeadline bool
	calls           atomic.Uint64 // made so far
	conns           atomic.Uint64
	faulty          atomic.Int64 // calls under way that go wrong
	stray           atomic.Bool  // the next call is done late, with nobody to hear

	mu     sync.Mutex
	open   map[*conn]struct{}
	asked  map[string]time.Duration // when an acquire was last carried out, by key
	down   bool
	resume chan struct{} // closed when the process goes on; nil while it runs
}

// faulty is a client that a Locker uses itself, as it does with any wrapper: one that
// it made of the client's options, be it only while the client is slow, would know
// nothing of the hook.
type faulty struct{ *redis.Client }

// client returns the client of the process with this number.
func (w *world) client(number int) *redis.Client {
	y := &hook{world: w, process: uint64(number), honoursDeadline: w.plan.heeds[number], open: map[*conn]struct{}{}, asked: map[string]time.Duration{}}
	w.ways = append(w.ways, y)
	rdb := redis.NewClient(&redis.Options{
		Addr:                  "127.0.0.1:6379", // never dialled
		PoolSize:              32,
		MaxRetries:            -1, // the faults are its retries
		ContextTimeoutEnabled: y.honoursDeadline,
		DisableIdentity:       true,
		Dialer:                func(context.Context, string, string) (net.Conn, error) { return y.dial() },
	})
	rdb.AddHook(y)
	return rdb
}

// pauseProcess stops all that goes in and out.
func (y *hook) pauseProcess() {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.resume = make(chan struct{})
}

func (y *hook) resumeProcess() {
	y.mu.Lock()
	defer y.mu.Unlock()
	close(y.resume)
	y.resume = nil
}

// awaitResume returns at once unless the process is paused.
func (y *hook) awaitResume() {
	y.mu.Lock()
	resume := y.resume
	y.mu.Unlock()
	if resume != nil {
		<-resume
	}
}

// cut closes all connections, and refuses others while Redis is down.
func (y *hook) cut(down bool) {
	y.mu.Lock()
	y.down = down
	open := y.open
	y.open = map[*conn]struct{}{}
	y.mu.Unlock()
	for c := range open {
		_ = c.Conn.Close()
	}
}

func (y *hook) isDown() bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.down
}

func (y *hook) DialHook(next redis.DialHook) redis.DialHook { return next }
func (y *hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook sends a script call on its way. A client that heeds deadlines does
// not wait for it longer than that; what was sent is on its way all the same.
func (y *hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if name := cmd.Name(); name != "evalsha" && name != "eval" {
			if y.isDown() {
				return refuse(cmd)
			}
			return next(ctx, cmd)
		}
		trip := &trip{hook: y, random: y.random("call", y.process<<32|y.calls.Add(1)), next: next}
		deadline, ok := ctx.Deadline()
		if !ok || !y.honoursDeadline {
			return trip.make(ctx, cmd)
		}
		ctx = context.WithoutCancel(ctx)
		sent := redis.NewCmd(ctx, cmd.Args()...)
		done := make(chan error, 1)
		y.late.Go(func() { done <- trip.make(ctx, sent) })
		select {
		case err := <-done:
			cmd.SetErr(err)
			if err == nil {
				cmd.(interface{ SetVal(any) }).SetVal(sent.Val())
			}
		case <-time.After(time.Until(deadline)):
			trip.ambiguous()
			cmd.SetErr(context.DeadlineExceeded)
		}
		return cmd.Err()
	}
}

func refuse(cmd redis.Cmder) error {
	cmd.SetErr(syscall.ECONNREFUSED)
	return syscall.ECONNREFUSED
}

// carriedOut notes the keys of a call with acquires in it: some or all of them are
// asked for.
func (y *hook) carriedOut(args []any) {
	if !slices.Contains(args, any("acquire")) {
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, arg := range args {
		if name, ok := arg.(string); ok {
			if _, key, lease := strings.Cut(name, "}:l:"); lease {
				y.asked[key] = y.now()
			}
		}
	}
}

// askedSince tells whether an acquire of a key may have been carried out since then.
func (y *hook) askedSince(key string, since time.Duration) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	at, ok := y.asked[key]
	return ok && at >= since
}

// trip is one call on its way there and back.
type trip struct {
	*hook
	random  *rand.Rand
	next    redis.ProcessHook
	unheard sync.Once // counted as ambiguous
}

func (t *trip) upTo(most time.Duration) time.Duration {
	return time.Duration(t.random.Int64N(int64(most) + 1))
}

func (t *trip) make(ctx context.Context, cmd redis.Cmder) error {
	there, back := t.upTo(t.plan.delay), t.upTo(t.plan.delay)
	long := t.upTo(2 * t.plan.ttl)
	fault := t.random.IntN(100) < t.plan.wire && !t.calm.Load()
	kind := t.random.IntN(7)
	switch {
	case t.stray.Swap(false):
		kind, long = 2, long/6
	case !fault:
		kind = -1
	default:
		t.faulty.Add(1)
		defer t.faulty.Add(-1)
	}
	if kind == 0 {
		t.wrong(requestDelayed)
		there = long
	}
	t.awaitResume()
	time.Sleep(there)
	switch kind {
	case 1:
		t.wrong(requestLost)
		return t.lose(cmd)
	case 2:
		t.wrong(requestLate)
		failed := time.Now()
		t.repeat(cmd, long, func(do func()) { t.revenant(failed, do) })
		return t.lose(cmd)
	case 3:
		t.wrong(requestTwice)
		t.repeat(cmd, long, func(do func()) { do() })
	}
	if t.isDown() {
		return refuse(cmd)
	}
	t.carriedOut(cmd.Args())
	err := t.next(ctx, cmd)
	switch kind {
	case 4:
		t.wrong(replyLost)
		return t.lose(cmd)
	case 5:
		t.wrong(replyDelayed)
		back = long
	case 6:
		t.wrong(replyLostLate)
		time.Sleep(long)
		return t.lose(cmd)
	}
	time.Sleep(back)
	t.awaitResume()
	if unanswered(err) {
		t.ambiguous()
	}
	return err
}

// lose has the asker get no reply.
func (t *trip) lose(cmd redis.Cmder) error {
	t.ambiguous()
	cmd.SetErr(io.ErrUnexpectedEOF)
	return io.ErrUnexpectedEOF
}

// repeat has the call done much later, with nobody to hear.
func (t *trip) repeat(cmd redis.Cmder, in time.Duration, around func(do func())) {
	args := cmd.Args()
	t.late.Go(func() {
		time.Sleep(in)
		if !t.isDown() {
			t.revenants.Add(1)
			t.carriedOut(args)
			around(func() { t.again.Do(context.Background(), args...) })
		}
	})
}
