package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/engine"
	"github.com/latchkey-go/latchkey/core/internal/timer"
)

const (
	defaultPrefix = "latchkey"
	maxPrefixLen  = 64

	// maxProcessWaiters and maxQueued are caps that no caller should meet: the
	// requests that wait in one process, over all keys, and the processes that
	// wait for one key.
	maxProcessWaiters = 100_000
	maxQueued         = 1000

	// backendTimeout is how long Redis may leave a question unanswered before
	// those who wait for the answer are told ErrBackend.
	backendTimeout = 2 * time.Second
	// slowAnswer is how long an answer may take before a wait that ends
	// meanwhile is put down to Redis rather than to whoever is in the way.
	slowAnswer = 500 * time.Millisecond
)

// RedisLocker grants locks that live in Redis. It is safe for concurrent use;
// one serves a whole process. It must be closed.
//
// It drives an engine.Machine, which decides (internal/engine): driver.go brings it
// events and carries its effects out, wire.go says them in the terms of what talks to
// Redis (internal/backend), request.go is the caller's side and lock.go the holder's.
type RedisLocker struct {
	prefix   string
	settings Settings // the defaults, with this process's Meta
	observed Locker   // what Acquire goes through: the locker, or an observer of it
	guard    *Guard

	process backend.Process
	backend *backend.Backend
	// background has what talks to Redis (polls, renewals, repeated cleanups);
	// deadlines has what must not be late because of it.
	background, deadlines *timer.Schedule

	// arrivals is taken before mu by callers who come and go, so that answers from
	// Redis, which many may wait for, contend for mu with one of these at the most.
	// (100 callers whose contexts end at once, two cores: a patient one of a free key
	// waited for up to 170 ms, 24 ms with this.)
	arrivals      sync.Mutex
	mu            sync.Mutex
	machine       *engine.Machine
	sealer        *backend.Sealer   // of entries' numbers
	listener      *backend.Listener // nil until somebody first waits
	subscriptions map[backend.SubscriptionID]*subscription
	drained       chan struct{} // closed when the last holder is gone, if someone waits
	history       history
	stopped       chan struct{} // closed when everything has ended

	requests sync.Pool // of *request
	answers  sync.Pool // of *answer
}

var _ Locker = (*RedisLocker)(nil)

type lockerOptions struct {
	settings Settings
	prefix   string
	tenure   time.Duration
	ack      *backend.Ack // nil for none
	shared   bool         // the caller's client is used
	observer Observer
}

type lockerOption func(*lockerOptions)

func (o lockerOption) applyLocker(l *lockerOptions) { o(l) }

// Prefix sets what all names in Redis start with; the default is "latchkey".
// It is the namespace of the locks: Lockers with different prefixes do not see
// each other's. At most 64 bytes, without braces.
func Prefix(p string) Option { return lockerOption(func(l *lockerOptions) { l.prefix = p }) }

// WithObserver has o told about everything this Locker does.
func WithObserver(o Observer) Option {
	return lockerOption(func(l *lockerOptions) { l.observer = o })
}

// New returns a Locker that keeps its locks in the Redis of rdb. It uses a client
// of its own, made from the options of rdb and closed with the Locker, unless with
// [SharedClient], which says more. rdb stays the caller's. Close the Locker first if
// the client is shared, or one of Sentinels. The settings among opts are the
// defaults of its acquisitions. New does not talk to Redis; [RedisLocker.Check] does.
//
// Its error lists everything that is wrong: [ErrOption] for options out of
// range, [ErrUnsupportedClient] for a nil client or one that it cannot be safe on:
// a *redis.Ring (keys move to another server when one fails, and both would
// grant), an *AutoPipeliner (does not return while Redis hangs).
func New(rdb redis.UniversalClient, opts ...Option) (*RedisLocker, error) {
	o := lockerOptions{settings: DefaultSettings(), prefix: defaultPrefix, tenure: defaultTenure}
	host, _ := os.Hostname() // a nicety; "" is not shown
	o.settings.Meta = Meta{Host: host, PID: os.Getpid()}
	for _, opt := range opts {
		if opt != nil {
			opt.applyLocker(&o)
		}
	}
	if err := errors.Join(checkClient(rdb), checkObserver(o.observer), checkPrefix(o.prefix), checkTenure(o.tenure), checkAck(o.ack, rdb), o.settings.validate()); err != nil {
		return nil, err
	}
	var ack backend.Ack
	if o.ack != nil {
		ack = *o.ack
	}
	l := &RedisLocker{
		prefix:        o.prefix,
		settings:      o.settings,
		process:       backend.NewProcess(),
		sealer:        backend.NewSealer(),
		backend:       backend.Open(rdb, backend.Config{Prefix: o.prefix, Ack: ack, Own: !o.shared}),
		background:    timer.NewSchedule(),
		deadlines:     timer.NewSchedule(),
		subscriptions: make(map[backend.SubscriptionID]*subscription),
		history:       newHistory(),
		stopped:       make(chan struct{}),
	}
	l.machine = engine.New(engine.Config{
		Tenure:      o.tenure,
		Silence:     backendTimeout + 2*ack.Within, // twice if the script is not known
		SlowAnswer:  slowAnswer,
		MaxRequests: maxProcessWaiters,
		Acks:        o.ack != nil,
		CloseIdle:   l.backend.Subscriptions() > 1,
	}, (*world)(l))
	l.observed = unobserved{l}
	if o.observer != nil {
		l.observed = Observe(l.observed, o.observer)
	}
	l.guard = &Guard{locker: l}
	return l, nil
}

func checkObserver(o Observer) error {
	if o != nil && isNil(o) {
		return fmt.Errorf("%w: the Observer is a nil %T", ErrOption, o)
	}
	return nil
}

func checkPrefix(p string) error {
	switch {
	case p == "":
		return fmt.Errorf("%w: the prefix is empty", ErrOption)
	case len(p) > maxPrefixLen:
		return fmt.Errorf("%w: the prefix has %d bytes, more than %d", ErrOption, len(p), maxPrefixLen)
	case strings.ContainsAny(p, "{}\n"):
		return fmt.Errorf("%w: the prefix %q has a brace or a line break", ErrOption, p)
	}
	return nil
}

// Namespace is the prefix.
func (l *RedisLocker) Namespace() string { return l.prefix }

func (l *RedisLocker) watchHealth(f func(Health)) {
	l.backend.WatchHealth(func(node string, down error) { f(Health{l.prefix, node, down}) })
}

// Acquire returns the lock on key: see [Locker]. If the key is free it costs
// one round trip to Redis; so does its release.
func (l *RedisLocker) Acquire(ctx context.Context, key string, opts ...AcquireOption) (Lock, error) {
	return l.observed.Acquire(ctx, key, opts...)
}

func (l *RedisLocker) defaults() Settings { return l.settings }

// TryAcquire is Acquire with Wait(0): a key that is held is [ErrHeld].
func (l *RedisLocker) TryAcquire(ctx context.Context, key string, opts ...AcquireOption) (Lock, error) {
	return l.observed.Acquire(ctx, key, append(opts[:len(opts):len(opts)], Wait(0))...)
}

// Do runs fn while holding the lock on key, as a [Guard] with this Locker's
// defaults does: see [Guard.Run].
func (l *RedisLocker) Do(ctx context.Context, key string, fn func(context.Context) error, opts ...AcquireOption) error {
	return l.guard.Run(ctx, key, fn, opts...)
}

// unobserved is the Locker without its observer.
type unobserved struct{ *RedisLocker }

func (l unobserved) Acquire(ctx context.Context, key string, opts ...AcquireOption) (Lock, error) {
	return l.acquire(ctx, key, opts)
}
