package core

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/remote"
)

// lock is one request's hold on a lease.
type lock struct {
	locker *RedisLocker
	entry  *entry
	key    string
	token  uint64
	info   Info
	meta   Meta
	since  time.Time

	released bool // guarded by RedisLocker.mu

	// ctx is set before the lock is handed out, but a loss may come earlier.
	mu     sync.Mutex
	parent context.Context
	ctx    context.Context
	cancel context.CancelCauseFunc
	cause  error // why it was stopped
}

var _ Lock = (*lock)(nil)

func (k *lock) Key() string              { return k.key }
func (k *lock) Token() uint64            { return k.token }
func (k *lock) Info() Info               { return k.info }
func (k *lock) Context() context.Context { return k.ctx }

func (k *lock) Remaining() time.Duration {
	k.locker.mu.Lock()
	defer k.locker.mu.Unlock()
	if k.released || k.entry.lost {
		return 0
	}
	return k.entry.valid.Remaining(time.Now())
}

// Release sends the release and waits for its answer.
func (k *lock) Release(ctx context.Context) error {
	answer, err := k.locker.release(k)
	if err != nil {
		return err
	}
	timer := time.NewTimer(backendTimeout)
	defer timer.Stop()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = fmt.Errorf("%w: %w", ErrBackend, errNoAnswer)
	}
	return fmt.Errorf("core: the release is not confirmed yet and goes on in the background: %w", err)
}

// giveBack releases a lock that its request did not live to see.
func (k *lock) giveBack() { _, _ = k.locker.release(k) }

// holder describes k to those who wait for it.
func (k *lock) holder() *Holder { return &Holder{Meta: k.meta, Since: k.since} }

// bind makes the lock's context, in the goroutine of its request.
func (k *lock) bind(parent context.Context) {
	ctx, cancel := context.WithCancelCause(parent)
	k.mu.Lock()
	k.parent, k.ctx, k.cancel = parent, lockContext{ctx, k}, cancel
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
	if k.cause == nil {
		k.cause = cause
	}
	cause, cancel := k.cause, k.cancel
	k.mu.Unlock()
	if cancel != nil {
		cancel(cause)
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

func (c lockContext) Value(key any) any {
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

// release sends the lease back, and with it the next in this process's line to
// stand in the queue. The answer comes over the channel.
func (l *RedisLocker) release(k *lock) (<-chan error, error) {
	l.mu.Lock()
	if k.released {
		l.mu.Unlock()
		return nil, ErrReleased
	}
	k.released = true
	e, q, lost := k.entry, k.entry.queue, k.entry.lost
	l.end(e)
	// Known until the release is answered: a note that comes meanwhile calls
	// for no other release, which would make this one find nothing.
	l.detach(e)
	l.holds.observe(time.Since(k.since))

	var next *entry
	var requeue remote.Entry
	if q.entry == nil && q.line.Len() > 0 {
		next = l.newEntry(q)
		l.expectAnswer(next)
		if l.listening {
			requeue = next.wire
		}
	}
	l.tidy(q)
	answer := make(chan error, 1)
	l.room.Do(remote.Release(q.key, e.wire, k.token, e.block, requeue), func(a remote.Answer) {
		answer <- l.released(k, lost, a)
		if next != nil {
			l.requeued(next, a, k.holder())
		}
	})
	if l.holders--; l.holders == 0 && l.drained != nil {
		close(l.drained) // only now that the release is in the room
		l.drained = nil
	}
	l.mu.Unlock()
	k.stop(ErrReleased)
	return answer, nil
}

// released takes the answer to a release, and returns Release's error.
func (l *RedisLocker) released(k *lock, lost bool, a remote.Answer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.entries, k.entry.number)
	if a.Err != nil || k.entry.ghost || k.entry.unread {
		l.cancel(k.entry) // until it is answered, or the lease has expired
	}
	switch {
	case lost:
		return ErrLost
	case a.Err != nil:
		return fmt.Errorf("%w: the release goes on in the background: %w", ErrBackend, a.Err)
	case a.Reply.Status != remote.Released:
		return ErrLost
	}
	return nil
}

// requeued takes the answer to a release for the entry that was to be queued
// with it.
func (l *RedisLocker) requeued(e *entry, a remote.Answer, from *Holder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.inFlight--
	e.unread = e.unread || a.Err != nil // the release may be done yet, and queue it
	r := a.Reply.Requeued
	switch {
	case e.life == retired && r != nil:
		l.answeredLate(e, remote.Answer{Reply: *r, Sent: a.Sent})
	case e.life == retired:
		l.answeredLate(e, a)
	case a.Err == nil && r != nil:
		handoff := HandoffNone
		if r.Status == remote.Granted {
			handoff = HandoffLocal
		}
		l.replied(e, *r, a.Sent, handoff, from)
	case e.life == held:
	default:
		// Not queued, or not known to be: another's lease, a lost reply, or no
		// subscription yet. Asking is right in each case.
		l.send(e)
	}
}
