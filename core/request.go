package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/clockwork"
	"github.com/latchkey-go/latchkey/core/internal/remote"
)

// request is one call of Acquire. It is used again by later ones: see recycle.
type request struct {
	key      string
	settings Settings
	start    time.Time
	lone     *remote.Lone // to be made by the request itself
	// ready has a signal when the outcome is there, and one before that if stood.
	ready  chan struct{}
	locker *RedisLocker

	// Below: guarded by RedisLocker.mu until ready has been sent.
	queue      *queue // nil when not in line
	prev, next *request
	patience   clockwork.Alarm // on RedisLocker.deadlines
	info       Info
	outcome    outcome

	// Together, as a process may have ten thousand that wait for one key.
	patient bool // can make a lone trip
	behind  bool // got in line behind another request of this process
	limited bool // patience was set
	stood   bool // see stand
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
	r.locker.leave(r)
}

// recycle keeps r for another call, once its outcome has been read, unless
// something may still know it: its alarm, which could then end another's wait.
func (l *RedisLocker) recycle(r *request) {
	if !r.patience.Rests() {
		return
	}
	r.key, r.settings.Meta, r.info, r.outcome, r.limited = "", Meta{}, Info{}, outcome{}, false
	r.settings.inLine, r.stood, r.behind = nil, false, false
	l.requests.Put(r)
}

// stand wakes r, the head of its line, to tell its observer that it has to wait for
// another process. The caller holds RedisLocker.mu.
func (r *request) stand() {
	if r.settings.inLine != nil && !r.behind && !r.stood {
		r.stood = true
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

// travel makes the round trip that r is to make itself.
func (l *RedisLocker) travel(r *request) {
	back := false
	defer func() {
		if !back { // a hook of the client has ended the goroutine
			l.abandon(r)
			if r.stood {
				<-r.ready
			}
		}
	}()
	r.lone.Travel()
	r.lone = nil
	back = true
}

// abandon gives up what nobody waits for any more: it must not be granted.
func (l *RedisLocker) abandon(r *request) {
	l.mu.Lock()
	l.leave(r)
	l.mu.Unlock()
	if <-r.ready; r.outcome.lock != nil {
		r.outcome.lock.giveBack()
	}
}

// tell gives r its outcome. The caller holds RedisLocker.mu, and has taken r
// from its line.
func (r *request) tell(out outcome) {
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
		l.recycle(r)
		return nil, err
	}
	if r.lone != nil {
		l.travel(r)
	}
	if r.behind && r.settings.inLine != nil {
		l.tellWaiting(r)
	}
	lock, err := l.await(ctx, r)
	l.recycle(r) // not deferred: should ctx panic, r may be in line yet
	return lock, err
}

// await returns when r has its outcome, or leaves when ctx ends.
func (l *RedisLocker) await(ctx context.Context, r *request) (Lock, error) {
	told := false // that it stands in line
	for settled := false; !settled; {
		select {
		case <-r.ready:
			if settled = !r.stood || told; !settled {
				told = true
				l.tellWaiting(r)
			}
		case <-ctx.Done():
			l.entrance.Lock()
			l.mu.Lock()
			l.leave(r)
			l.mu.Unlock()
			l.entrance.Unlock()
			if <-r.ready; r.stood && !told {
				<-r.ready
			}
			settled = true
		}
	}
	if r.limited {
		l.deadlines.Clear(&r.patience)
	}
	out := r.outcome
	if err := clockwork.EndOf(ctx, r.start); err != nil {
		if out.lock != nil {
			out.lock.giveBack()
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
	if err := clockwork.EndOf(ctx, r.start); err != nil {
		return err, context.Cause(ctx)
	}
	if holds(ctx, l, r.key) {
		return ErrSelfDeadlock, nil
	}
	wait := r.settings.Wait
	r.patient = (wait == 0 || wait >= remote.LonePatience) && patient(ctx)
	return l.join(r)
}

// checkKey tells what is wrong with key, if anything.
func checkKey(key string) error {
	if len(key) == 0 || len(key) > MaxKeyLen {
		return fmt.Errorf("it has %d bytes, not between 1 and %d", len(key), MaxKeyLen)
	}
	return nil
}

// patient tells whether ctx leaves time for a lone trip.
func patient(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > remote.LonePatience
}

var (
	errManyWait = fmt.Errorf("core: %d requests wait in this process", maxProcessWaiters)
	errNoAnswer = errors.New("core: Redis did not answer in time")
	errNotSent  = errors.New("core: so much is asked of Redis at a time that this had to wait in the process")
	errLapsed   = errors.New("core: Redis answers more slowly than the lease lasts: the TTL is too short")
)
