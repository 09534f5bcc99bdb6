package core

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/engine"
	"github.com/latchkey-go/latchkey/core/internal/timer"
)

// request is one call of Acquire. It is used again by later ones: see recycle.
type request struct {
	engine.Request
	settings Settings
	inline   inline // the call to be made by the request itself
	// ready has a signal when the outcome is there, and one before that if stood.
	ready  chan struct{}
	locker *RedisLocker

	// Below, and what Request has after Data: guarded by RedisLocker.mu until ready has
	// been sent.
	patience timer.Alarm // on RedisLocker.deadlines
	info     Info
	outcome  outcome
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
		r.Data = r
	}
	r.Key, r.Start, r.settings = key, start, l.settings
	return r
}

// Due ends a wait that has been as long as it may.
func (r *request) Due() {
	r.locker.step(&engine.Event{Kind: engine.Due, Alarm: engine.Patience, Request: &r.Request})
}

// reuse keeps r for another call, once its outcome has been read, unless
// something may still know it: its alarm, which could then end another's wait.
func (l *RedisLocker) reuse(r *request) {
	if !r.patience.Rests() {
		return
	}
	*r = request{Request: engine.Request{Data: r}, ready: r.ready, locker: l}
	l.requests.Put(r)
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
			if r.Notified {
				<-r.ready
			}
		}
	}()
	r.inline.call.Run()
	back = true
}

// abandon gives up what nobody waits for any more: it must not be granted.
func (l *RedisLocker) abandon(r *request) {
	l.leave(r)
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

// leave has r go away, unless its outcome is there already.
func (l *RedisLocker) leave(r *request) {
	l.step(&engine.Event{Kind: engine.Leave, Request: &r.Request})
}

// describe is what is known of r's wait.
func (r *request) describe() Info {
	return Info{Contended: r.Contended, Position: r.Position, Blocker: holderIn(r.Blocker)}
}

// failure is the error of a request that is not in line.
func (r *request) failure(err, cause error) error {
	r.info.Waited, r.info.LeaseTTL = time.Since(r.Start), r.settings.TTL
	return &AcquireError{Key: r.Key, Err: err, Cause: cause, Info: r.info}
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
	if r.inline.call != nil {
		l.runInline(r)
	}
	if r.Behind && r.settings.inLine != nil {
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
			if settled = !r.Notified || told; !settled {
				told = true
				l.tellWaiting(r)
			}
		case <-ctx.Done():
			l.arrivals.Lock()
			l.leave(r)
			l.arrivals.Unlock()
			if <-r.ready; r.Notified && !told {
				<-r.ready
			}
			settled = true
		}
	}
	if r.Limited {
		l.deadlines.Clear(&r.patience)
	}
	out := r.outcome
	if err := timer.EndOf(ctx, r.Start); err != nil {
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
	if err := checkKey(r.Key); err != nil {
		return ErrKey, err
	}
	if len(opts) > 0 {
		if err := r.settings.apply(opts); err != nil {
			return ErrOption, err
		}
	}
	// The wire counts in milliseconds; what is proven must not be more.
	r.settings.TTL = r.settings.TTL.Truncate(time.Millisecond)
	if err := timer.EndOf(ctx, r.Start); err != nil {
		return err, context.Cause(ctx)
	}
	if holds(ctx, l, r.Key) {
		return ErrSelfDeadlock, nil
	}
	wait := r.settings.Wait
	r.inline.may = (wait == 0 || wait >= backend.InlineBudget) && hasInlineBudget(ctx)
	r.TTL, r.Wait, r.MaxHold, r.MaxWaiters = r.settings.TTL, wait, r.settings.MaxHold, r.settings.MaxWaiters
	r.Meta, r.Observed = l.shared(&r.settings.Meta), r.settings.inLine != nil
	return l.join(r)
}

// join puts r in line, unless it is refused at once.
func (l *RedisLocker) join(r *request) (err, cause error) {
	now := r.Start
	if !l.arrivals.TryLock() {
		l.arrivals.Lock()
		now = time.Now()
	}
	defer l.arrivals.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.machine.Requests()
	tell(l.stepLocked(&engine.Event{Kind: engine.Join, Request: &r.Request}, now, &r.inline))
	if l.machine.Requests() == before {
		<-r.ready
		return r.outcome.err, r.outcome.cause
	}
	return nil, nil
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
