package core

import (
	"context"
	"sync"
	"time"
)

// lock is one request's hold on a lease.
type lock struct {
	locker *RedisLocker
	entry  *entry
	key    string
	token  uint64
	info   Info
	who    *Holder // this holder, to those who wait for it

	released bool // guarded by RedisLocker.mu

	// The context is set before the lock is handed out, but a loss may come
	// earlier.
	mu      sync.Mutex
	context lockContext
	parent  context.Context
	cancel  context.CancelCauseFunc
	cause   error   // why it was stopped
	watcher watcher // nil if nobody asks
}

var _ Lock = (*lock)(nil)

func (k *lock) Key() string              { return k.key }
func (k *lock) Token() uint64            { return k.token }
func (k *lock) Info() Info               { return k.info }
func (k *lock) Context() context.Context { return &k.context }

func (k *lock) Remaining() time.Duration {
	k.locker.mu.Lock()
	defer k.locker.mu.Unlock()
	if k.released || k.entry.lost {
		return 0
	}
	return k.entry.valid.Remaining(time.Now())
}

// bind makes the lock's context, in the goroutine of its request.
func (k *lock) bind(parent context.Context) {
	ctx, cancel := context.WithCancelCause(parent)
	k.mu.Lock()
	k.parent, k.context, k.cancel = parent, lockContext{ctx, k}, cancel
	cause := k.cause
	k.mu.Unlock()
	if cause != nil {
		cancel(cause)
	}
}

// stop cancels the lock's context; the first cause stays. The cancelling, which
// asks the parent, is done without mu: the parent may be the user's own.
func (k *lock) stop(cause error) {
	k.mu.Lock()
	first := k.cause == nil
	if first {
		k.cause = cause
	}
	cause, cancel, watcher := k.cause, k.cancel, k.watcher
	k.mu.Unlock()
	if cancel != nil {
		cancel(cause)
	}
	if first && watcher != nil {
		watcher.stopped(cause)
	}
}

// watcher hears why a holder must stop, when it must.
type watcher interface{ stopped(cause error) }

// watch has w told when the holder must stop, or is released; at once if that is
// so.
func (k *lock) watch(w watcher) {
	k.mu.Lock()
	k.watcher = w
	cause := k.cause
	k.mu.Unlock()
	if cause != nil {
		w.stopped(cause)
	}
}

// lockContext carries its lock.
type lockContext struct {
	context.Context
	lock *lock
}

// heldContextKey finds the innermost lock of a RedisLocker, also under an
// observer's wrapping.
type heldContextKey struct{}

func (c *lockContext) Value(key any) any {
	switch key.(type) {
	case lockContextKey:
		return Lock(c.lock)
	case heldContextKey:
		return c.lock
	}
	return c.Context.Value(key)
}

// holds tells whether the call chain of ctx already holds key: waiting for it
// would be waiting for itself.
func holds(ctx context.Context, l *RedisLocker, key string) bool {
	for {
		k, ok := ctx.Value(heldContextKey{}).(*lock)
		if !ok {
			return false
		}
		if k.locker == l && k.key == key && !k.isReleased() {
			return true
		}
		ctx = k.parent
	}
}

func (k *lock) isReleased() bool {
	k.locker.mu.Lock()
	defer k.locker.mu.Unlock()
	return k.released
}
