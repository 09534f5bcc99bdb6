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
	name   string // of its settings
	token  uint64
	info   Info
	meta   *Meta
	since  time.Time
	asked  time.Duration   // the longest wait that its request agreed to
	parent context.Context // of its context; set before the lock is handed out

	// Guarded by RedisLocker.mu.
	released    bool
	answers     chan<- error // for what its release came to; nil if nobody waits
	description *Holder      // see holder

	mu      sync.Mutex
	context lockContext // made when it is first asked for
	cancel  context.CancelCauseFunc
	cause   error   // why it was stopped
	watcher watcher // nil if nobody asks
}

var _ Lock = (*lock)(nil)

func (k *lock) Key() string   { return k.key }
func (k *lock) Token() uint64 { return k.token }
func (k *lock) Info() Info    { return k.info }

// Context makes the context when it is first asked for: it costs more than a
// handoff, and not every holder wants it.
func (k *lock) Context() context.Context {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cancel != nil {
		return &k.context
	}
	ctx, cancel := context.WithCancelCause(k.parent)
	if k.cause != nil {
		cancel(k.cause) // the loss, or the release, came before
	}
	k.context, k.cancel = lockContext{ctx, k}, cancel
	return &k.context
}

// holder describes k to those who wait for it. The caller holds RedisLocker.mu.
func (k *lock) holder() *Holder {
	if k.description == nil {
		k.description = &Holder{Meta: *k.meta, Since: k.since}
	}
	return k.description
}

func (k *lock) Remaining() time.Duration {
	k.locker.mu.Lock()
	defer k.locker.mu.Unlock()
	if k.released {
		return 0
	}
	return k.entry.Remaining(time.Now())
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
	if first && watcher != nil && stopError(cause) != nil {
		k.locker.backend.Callback(func() { watcher.stopped(cause) })
	}
}

// stopUnused is stop for a lock whose context nobody has asked for, or who does not
// matter any more; false if somebody may have. It runs no code that is not ours, and
// does not wait: Context does both, with mu.
func (k *lock) stopUnused(cause error) bool {
	if !k.mu.TryLock() {
		return false
	}
	defer k.mu.Unlock()
	if k.cause == nil && k.cancel == nil {
		k.cause = cause
	}
	return k.cancel == nil
}

// renewed tells whoever watches what a renewal came to.
func (k *lock) renewed(err error) {
	k.mu.Lock()
	watcher := k.watcher
	k.mu.Unlock()
	if watcher != nil {
		k.locker.backend.Callback(func() { watcher.renewed(err) })
	}
}

// watcher hears of a lease while it is held: what its renewals come to, and why
// the holder must stop, when it must.
type watcher interface {
	renewed(err error)
	stopped(cause error)
}

// watchers is two of them.
type watchers [2]watcher

// Of each, the second is told also if the first panics.
func (w *watchers) renewed(err error)   { defer w[1].renewed(err); w[0].renewed(err) }
func (w *watchers) stopped(cause error) { defer w[1].stopped(cause); w[0].stopped(cause) }

// watch has w told, too, when the holder must stop, or is released; at once if that
// is so.
func (k *lock) watch(w watcher) {
	k.mu.Lock()
	if k.watcher == nil {
		k.watcher = w
	} else {
		k.watcher = &watchers{k.watcher, w}
	}
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

// governs tells whether ctx descends from k's own context.
func (k *lock) governs(ctx context.Context) bool {
	for {
		held, ok := ctx.Value(heldContextKey{}).(*lock)
		if !ok || held == k {
			return ok
		}
		ctx = held.parent
	}
}

func (k *lock) isReleased() bool {
	k.locker.mu.Lock()
	defer k.locker.mu.Unlock()
	return k.released
}
