package core

import (
	"cmp"
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/engine"
)

// bubble is a miniredis inside a testing/synctest bubble, and what happens on
// the way to it.
type bubble struct {
	t    *testing.T
	srv  *miniredis.Miniredis
	tags map[string]string // of lock keys: their buckets
}

// inBubble runs f in a bubble with a Redis whose clock is the bubble's.
func inBubble(t *testing.T, f func(t *testing.T, b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{t: t, srv: miniredis.NewMiniRedis(), tags: map[string]string{}}
		b.srv.ClockTTL(true)
		t.Cleanup(b.srv.Close)
		f(t, b)
	})
}

// locker returns a Locker and the path of its operations to Redis.
func (b *bubble) locker(opts ...Option) (*RedisLocker, *path) {
	b.t.Helper()
	return b.lockerOn(redis.Options{}, opts...)
}

// heeding returns a Locker whose client ends a call at its context's deadline,
// so that it makes inline calls.
func (b *bubble) heeding(opts ...Option) (*RedisLocker, *path) {
	b.t.Helper()
	return b.lockerOn(redis.Options{ContextTimeoutEnabled: true}, opts...)
}

// repeating returns a Locker whose client repeats so often what was not answered.
func (b *bubble) repeating(n int, opts ...Option) (*RedisLocker, *path) {
	b.t.Helper()
	return b.lockerOn(redis.Options{MaxRetries: n}, opts...)
}

func (b *bubble) lockerOn(client redis.Options, opts ...Option) (*RedisLocker, *path) {
	b.t.Helper()
	client.Addr = "127.0.0.1:6379" // never dialled
	client.Dialer = func(context.Context, string, string) (net.Conn, error) { return b.srv.Dial() }
	client.MaxRetries = cmp.Or(client.MaxRetries, -1) // what the path loses is lost
	rdb := redis.NewClient(&client)
	p := &path{heeds: client.ContextTimeoutEnabled}
	rdb.AddHook(p)
	l, err := New(rdb, append([]Option{SharedClient()}, opts...)...) // the path is a hook
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		l.Close()
		rdb.Close()
	})
	return l, p
}

// lease returns what is stored as the lease of key, "" if nothing.
func (b *bubble) lease(key string) string {
	for _, name := range b.srv.Keys() {
		if len(name) > len(key)+3 && name[len(name)-len(key)-3:] == ":l:"+key {
			v, _ := b.srv.Get(name)
			return v
		}
	}
	return ""
}

// path lets a test delay, drop or count operations on their way.
type path struct {
	heeds  bool // as the client: a call ends at its context's deadline
	mu     sync.Mutex
	around func(op operation, call func() error) error
	seen   []operation
}

// operation is one as it travels: its kind as in the scripts (A, R, N, C, I, B), or
// "scan".
type operation struct {
	kind  string
	entry backend.Entry
	at    time.Time
	lone  bool // its caller waits for it no longer than the call's deadline
}

// via has f decide what happens to each operation from now on; nil lets them
// pass.
func (p *path) via(f func(op operation, call func() error) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.around = f
}

// count tells how many operations of a kind were sent.
func (p *path) count(kind string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, op := range p.seen {
		if op.kind == kind {
			n++
		}
	}
	return n
}

func (p *path) DialHook(next redis.DialHook) redis.DialHook { return next }
func (p *path) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (p *path) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "scan" {
			return p.decision()(operation{kind: "scan", at: time.Now()}, func() error { return next(ctx, cmd) })
		}
		whole, ok := cmd.(interface{ SetVal(any) })
		if !ok || cmd.Name() != "evalsha" {
			return next(ctx, cmd)
		}
		// One after another, as if each had travelled alone: what becomes of one
		// is to be seen.
		var replies []any
		for _, alone := range apart(cmd.Args()) {
			reply, err := p.operation(ctx, alone, next)
			if err != nil {
				cmd.SetErr(err)
				return err
			}
			replies = append(replies, reply...)
		}
		whole.SetVal(replies)
		return nil
	}
}

// decision is what happens to operations now.
func (p *path) decision() func(op operation, call func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.around == nil {
		return func(_ operation, call func() error) error { return call() }
	}
	return p.around
}

// operation lets one pass, or whatever the test has in mind for it.
func (p *path) operation(ctx context.Context, args []any, next redis.ProcessHook) ([]any, error) {
	one := redis.NewCmd(ctx, args...)
	call := func() error { return next(ctx, one) }
	op := operation{kind: "probe", at: time.Now()}
	deadline, bounded := ctx.Deadline()
	if op.lone = bounded && p.heeds; op.lone {
		// What is in a socket when the caller goes away is done all the same.
		ctx = context.WithoutCancel(ctx)
	}
	if len(args) > 7 {
		op.kind, op.entry = args[7].(string), backend.Entry(args[8].(string))
		if strings.HasPrefix(op.kind, "release_") {
			op.kind = "release"
		}
	}
	p.mu.Lock()
	p.seen = append(p.seen, op)
	p.mu.Unlock()
	around := p.decision()
	if op.lone {
		done := make(chan error, 1)
		go func() { done <- around(op, call) }()
		select {
		case err := <-done:
			if err != nil {
				return nil, err
			}
		case <-time.After(time.Until(deadline)):
			return nil, context.DeadlineExceeded
		}
	} else if err := around(op, call); err != nil {
		return nil, err
	}
	return one.Slice()
}

// apart takes the arguments of a script call for several operations apart, into
// those of a call for each.
func apart(args []any) [][]any {
	n := args[2].(int) / 3
	if n < 2 {
		return [][]any{args}
	}
	keys, rest := args[3:3+3*n], args[4+3*n:]
	var alone [][]any
	for i := range n {
		size := 1 + map[string]int{"acquire": 2, "release": 4, "release_from": 5, "release_plain": 1, "renew": 3, "cancel": 1, "inspect": 1, "break_lease": 2, "listening": 1}[rest[0].(string)]
		one := append([]any{args[0], args[1], 3}, keys[3*i:3*i+3]...)
		one = append(one, args[3+3*n]) // the prefix
		alone = append(alone, append(one, rest[:size]...))
		rest = rest[size:]
	}
	return alone
}

// get acquires in the test's own goroutine, and fails the test on an error.
func get(t *testing.T, l Locker, key string, opts ...AcquireOption) *lock {
	t.Helper()
	k, err := l.Acquire(t.Context(), key, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return k.(*lock)
}

// result is an Acquire in the background. Its lock and error may be read once
// it is done.
type result struct {
	lock *lock
	err  error
	over atomic.Bool
}

func (r *result) done() bool { return r.over.Load() }

// begin acquires in the background; synctest.Wait makes the result readable.
func begin(ctx context.Context, l Locker, key string, opts ...AcquireOption) *result {
	r := &result{}
	go func() {
		k, err := l.Acquire(ctx, key, opts...)
		if err == nil {
			r.lock = k.(*lock)
		}
		r.err = err
		r.over.Store(true)
	}()
	return r
}

func free(t *testing.T, k *lock) {
	t.Helper()
	if err := k.Release(t.Context()); err != nil {
		t.Errorf("Release: %v", err)
	}
}

// elapse lets d of the bubble's time pass, and all that is due happen.
func elapse(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// foreign is the entry of a process that is not there.
func foreign() backend.Entry {
	return backend.MakeEntry(backend.MakeID(backend.NewProcess(), 1), time.Minute, 1, "")
}

// forgotten is an entry that l has had, and knows no more.
func forgotten(l *RedisLocker) backend.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &engine.Request{Key: "forgotten", TTL: time.Minute, Wait: time.Minute, MaxWaiters: 1, Meta: &Meta{}}
	number := l.machine.Step(&engine.Event{Kind: engine.Join, Request: r}, time.Now())[1].Op.Entry.Number
	l.machine.Step(&engine.Event{Kind: engine.Leave, Request: r}, time.Now())
	return backend.MakeEntry(backend.MakeID(l.process, l.sealer.Seal(number)), time.Minute, 1, "")
}

// closedListener returns a listener that has ended.
func closedListener(l *RedisLocker) *backend.Listener {
	h := l.backend.Listen(l.process, backend.Handler{
		Granted: func(backend.Grant) {}, Contended: func(backend.Note) {}, Broken: func(backend.Note) {},
		Up: func(backend.SubscriptionID) {}, Down: func(backend.SubscriptionID, error) {},
	})
	h.Close()
	return h
}
