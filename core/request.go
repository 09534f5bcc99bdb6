package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/timer"
)

// request is one call of Acquire. It is used again by later ones: see recycle.
type request struct {
	key      string
	settings Settings
	start    time.Time
	inline   *backend.InlineCall // to be made by the request itself
	// ready has a signal when the outcome is there, and one before that if stood.
	ready  chan struct{}
	locker *RedisLocker

	// Below: guarded by RedisLocker.mu until ready has been sent.
	queue      *queue // nil when not in line
	prev, next *request
	waitTimer  timer.Alarm // on RedisLocker.deadlines
	info       Info
	outcome    outcome

	// Together, as a process may have ten thousand that wait for one key.
	mayRunInline bool // can make an inline call
	behind       bool // got in line behind another request of this process
	waitLimited  bool // patience was set
	notified     bool // see notifyWaiting
}

// outcome is a lock, or why there is none.
type outcome struct {
	lock       *lock
	err, cause error
}

func (l *RedisLocker) newRequest(key string, start time.Time) *request {
	r, _ := l.requests.Get().(*request)
	if r == nil {
		r = &request{locker: l, ready: make(chan struct{}, 2)}
	}
	r.key, r.start, r.settings = key, start, l.settings
	return r
}

// Due ends a wait that has been as long as it may.
func (r *request) Due() {
	r.locker.mu.Lock()
	defer r.locker.mu.Unlock()
	r.locker.onCancel(r)
}

// reuse keeps r for another call, once its outcome has been read, unless
// something may still know it: its alarm, which could then end another's wait.
func (l *RedisLocker) reuse(r *request) {
	if !r.waitTimer.Rests() {
		return
	}
	r.key, r.settings.Meta, r.info, r.outcome, r.waitLimited = "", Meta{}, Info{}, outcome{}, false
	r.settings.inLine, r.notified, r.behind = nil, false, false
	l.requests.Put(r)
}

// notifyWaiting wakes r, the head of its line, to tell its observer that it has to wait for
// another process. The caller holds RedisLocker.mu.
func (r *request) notifyWaiting() {
	if r.settings.inLine != nil && !r.behind && !r.notified {
		r.notified = true
		r.ready <- struct{}{}
	}
}

// tellWaiting tells r's observer that it is in line.
func (l *RedisLocker) tellWaiting(r *request) {
	told := false
	defer func() {
		if !told { // the observer has panicked
			l.abandon(r)
		}
	}()
	r.settings.TellWaiting()
	told = true
}

// runInline makes the round trip that r is to make itself.
func (l *RedisLocker) runInline(r *request) {
	back := false
	defer func() {
		if !back { // a hook of the client has ended the goroutine
			l.abandon(r)
			if r.notified {
				<-r.ready
			}
		}
	}()
	r.inline.Run()
	r.inline = nil
	back = true
}

// abandon gives up what nobody waits for any more: it must not be granted.
func (l *RedisLocker) abandon(r *request) {
	l.mu.Lock()
	l.onCancel(r)
	l.mu.Unlock()
	if <-r.ready; r.outcome.lock != nil {
		r.outcome.lock.returnUnused()
	}
}

// settle gives r its outcome. The caller holds RedisLocker.mu, and has taken r
// from its line.
func (r *request) settle(out outcome) {
	r.outcome = out
	r.ready <- struct{}{}
}

// waits tells whether a request with these settings gets in line behind another.
func (s *Settings) waits() bool { return s.Wait > 0 && s.MaxWaiters > 0 }

// refusal is why a request that does not wait goes away from a held key.
func (r *request) refusal() error {
	if r.settings.Wait == 0 {
		return ErrHeld
	}
	return ErrQueueFull // MaxWaiters(0)
}

// failure is the error of a request that is not in line.
func (r *request) failure(err, cause error) error {
	r.info.Waited, r.info.LeaseTTL = time.Since(r.start), r.settings.TTL
	return &AcquireError{Key: r.key, Err: err, Cause: cause, Info: r.info}
}

// acquire joins the local line for the key and waits at its end; all the rest
// happens in answer to that.
func (l *RedisLocker) acquire(ctx context.Context, key string, opts []AcquireOption) (Lock, error) {
	r := l.newRequest(key, time.Now())
	if err, cause := l.admit(ctx, r, opts); err != nil {
		err = r.failure(err, cause)
		l.reuse(r)
		return nil, err
	}
	if r.inline != nil {
		l.runInline(r)
	}
	if r.behind && r.settings.inLine != nil {
		l.tellWaiting(r)
	}
	lock, err := l.await(ctx, r)
	l.reuse(r) // not deferred: should ctx panic, r may be in line yet
	return lock, err
}

// await returns when r has its outcome, or leaves when ctx ends.
func (l *RedisLocker) await(ctx context.Context, r *request) (Lock, error) {
	told := false // that it stands in line
	for settled := false; !settled; {
		select {
		case <-r.ready:
			if settled = !r.notified || told; !settled {
				told = true
				l.tellWaiting(r)
			}
		case <-ctx.Done():
			l.arrivals.Lock()
			l.mu.Lock()
			l.onCancel(r)
			l.mu.Unlock()
			l.arrivals.Unlock()
			if <-r.ready; r.notified && !told {
				<-r.ready
			}
			settled = true
		}
	}
	if r.waitLimited {
		l.deadlines.Clear(&r.waitTimer)
	}
	out := r.outcome
	if err := timer.EndOf(ctx, r.start); err != nil {
		if out.lock != nil {
			out.lock.returnUnused()
		}
		return nil, r.failure(err, context.Cause(ctx))
	}
	if out.err != nil {
		return nil, r.failure(out.err, out.cause)
	}
	out.lock.parent = ctx
	return out.lock, nil
}

// admit puts r in line, if nothing forbids it.
func (l *RedisLocker) admit(ctx context.Context, r *request, opts []AcquireOption) (err, cause error) {
	if err := checkKey(r.key); err != nil {
		return ErrKey, err
	}
	if len(opts) > 0 {
		if err := r.settings.apply(opts); err != nil {
			return ErrOption, err
		}
	}
	// The wire counts in milliseconds; what is proven must not be more.
	r.settings.TTL = r.settings.TTL.Truncate(time.Millisecond)
	if err := timer.EndOf(ctx, r.start); err != nil {
		return err, context.Cause(ctx)
	}
	if holds(ctx, l, r.key) {
		return ErrSelfDeadlock, nil
	}
	wait := r.settings.Wait
	r.mayRunInline = (wait == 0 || wait >= backend.InlineBudget) && hasInlineBudget(ctx)
	return l.admitLocked(r)
}

// checkKey tells what is wrong with key, if anything.
func checkKey(key string) error {
	if len(key) == 0 || len(key) > MaxKeyLen {
		return fmt.Errorf("it has %d bytes, not between 1 and %d", len(key), MaxKeyLen)
	}
	return nil
}

// hasInlineBudget tells whether ctx leaves time for an inline call.
func hasInlineBudget(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > backend.InlineBudget
}

var (
	errManyWait = fmt.Errorf("core: %d requests wait in this process", maxProcessWaiters)
	errNoAnswer = errors.New("core: Redis did not answer in time")
	errNotSent  = errors.New("core: so much is asked of Redis at a time that this had to wait in the process")
	errLapsed   = errors.New("core: Redis answers more slowly than the lease lasts: the TTL is too short")
)
