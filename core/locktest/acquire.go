package locktest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/internal/timer"
)

// waiter is one Acquire in line.
type waiter struct {
	ctx      context.Context
	key      string
	settings core.Settings
	info     core.Info
	asked    time.Time
	told     bool // its observer has heard that it waits

	// ready is closed when lock or err is set, once the waiter has left the
	// line.
	ready chan struct{}
	lock  *lock
	err   error
	cause error
}

// Acquire is as [core.Locker] has it. If it fails because of a holder, Info's
// RetryAfter is what is left of that lease, exactly, so that a test can choose it by
// the holder's TTL: the real Locker goes by the hold times that it has seen, and
// adds jitter.
func (f *Fake) Acquire(ctx context.Context, key string, opts ...core.AcquireOption) (core.Lock, error) {
	w := &waiter{ctx: ctx, key: key, asked: time.Now(), ready: make(chan struct{})}
	if key == "" || len(key) > core.MaxKeyLen {
		return nil, w.failed(core.ErrKey, fmt.Errorf("it has %d bytes, not between 1 and %d", len(key), core.MaxKeyLen))
	}
	var err error
	if w.settings, err = core.DefaultSettings().With(slices.Concat(f.defaults, opts)...); err != nil {
		return nil, w.failed(core.ErrOption, err)
	}
	w.info.LeaseTTL = w.settings.TTL
	if !f.enter(w) {
		f.tellWaiting(w)
		f.wait(w)
	}
	if w.err != nil {
		return nil, w.failed(w.err, w.cause)
	}
	return w.lock, nil
}

// enter grants the lock, refuses it or puts w in line; only then it returns
// false.
func (f *Fake) enter(w *waiter) (settled bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case w.ctx.Err() != nil:
		w.err, w.cause = timer.EndOf(w.ctx, w.asked), context.Cause(w.ctx)
		return true
	case f.heldBy(w.ctx, w.key):
		w.err = core.ErrSelfDeadlock
		return true
	case f.closed:
		w.err = core.ErrClosed
		return true
	case f.backend != nil:
		w.err, w.cause = core.ErrBackend, f.backend
		return true
	}

	l := f.lines[w.key]
	if l == nil {
		f.grant(w, nil, core.HandoffNone)
		return true
	}
	w.info.Contended = true
	w.info.Position = len(l.waiters) + 1
	w.info.Blocker = l.holder.describe()
	switch {
	case w.settings.Wait == 0:
		w.err = core.ErrHeld
	case len(l.waiters) >= w.settings.MaxWaiters:
		w.err = core.ErrQueueFull
	default:
		l.waiters = append(l.waiters, w)
		return false
	}
	w.info.RetryAfter = l.holder.remaining()
	return true
}

// tellWaiting tells w's observer that it is in line, and then whoever awaits that:
// a test that goes on then finds the wait in its metrics.
func (f *Fake) tellWaiting(w *waiter) {
	w.settings.TellWaiting()
	f.mu.Lock()
	defer f.mu.Unlock()
	w.told = true
	f.notify()
}

// wait returns when w has its lock or its error.
func (f *Fake) wait(w *waiter) {
	over := time.NewTimer(w.settings.Wait)
	defer over.Stop()
	select {
	case <-w.ready:
	case <-over.C:
		// If it was granted in the same instant, the grant stands.
		f.leave(w, core.ErrWaitTimeout, nil)
	case <-w.ctx.Done():
		f.leave(w, timer.EndOf(w.ctx, w.asked), context.Cause(w.ctx))
	}
	if w.lock != nil && w.ctx.Err() != nil {
		// Granted in the same instant. The caller is gone, so the lock goes to
		// the next in line.
		_ = w.lock.Release(context.Background())
		w.lock, w.err, w.cause = nil, timer.EndOf(w.ctx, w.asked), context.Cause(w.ctx)
	}
}

// leave takes w out of the line with an error, unless it is settled already.
func (f *Fake) leave(w *waiter, err, cause error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.lines[w.key]
	if l == nil {
		return
	}
	if i := slices.Index(l.waiters, w); i >= 0 {
		l.waiters = slices.Delete(l.waiters, i, i+1)
		w.info.RetryAfter = l.holder.remaining()
		f.refuse(w, err, cause)
	}
}

// refuse settles a waiter that has left the line with an error. f.mu is held.
func (f *Fake) refuse(w *waiter, err, cause error) {
	w.err, w.cause = err, cause
	close(w.ready)
	f.notify()
}

// refuseAll empties every line with an error; holders stay. f.mu is held.
func (f *Fake) refuseAll(err, cause error) {
	for _, l := range f.lines {
		waiters := l.waiters
		l.waiters = nil
		for _, w := range waiters {
			f.refuse(w, err, cause)
		}
	}
}

// grant makes w the holder of its key; before is the holder it takes over
// from. f.mu is held.
func (f *Fake) grant(w *waiter, before *lock, how core.Handoff) {
	w.info.Waited = time.Since(w.asked)
	w.info.Handoff = how
	if before != nil {
		w.info.Predecessor = before.describe()
	}
	w.lock = f.newLock(w)
	l := f.lines[w.key]
	if l == nil {
		l = &line{}
		f.lines[w.key] = l
	}
	l.holder = w.lock
	close(w.ready)
	f.notify()
}

// pass gives the key of a holder that is done to the first in line. f.mu is
// held.
func (f *Fake) pass(from *lock, how core.Handoff) {
	l := f.lines[from.key]
	if len(l.waiters) == 0 {
		delete(f.lines, from.key)
		f.notify()
		return
	}
	next := l.waiters[0]
	l.waiters = slices.Delete(l.waiters, 0, 1)
	f.grant(next, from, how)
}

func (w *waiter) failed(err, cause error) error {
	w.info.Waited = time.Since(w.asked)
	return &core.AcquireError{Key: w.key, Err: err, Cause: cause, Info: w.info}
}
