package core

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// answer is where the outcome of a release arrives, and how long it is waited
// for.
type answer struct {
	err   chan error // capacity 1
	timer *time.Timer
}

func (l *RedisLocker) newAnswer(patience time.Duration) *answer {
	if a, _ := l.answers.Get().(*answer); a != nil {
		a.timer.Reset(patience)
		return a
	}
	return &answer{make(chan error, 1), time.NewTimer(patience)}
}

// keepAnswer keeps a for another release. Nothing will come over it.
func (l *RedisLocker) keepAnswer(a *answer) {
	a.timer.Stop()
	l.answers.Put(a)
}

// Release passes the lock on to the next in line, or sends it back and waits for
// the answer.
func (k *lock) Release(ctx context.Context) error { return k.releaseWithin(ctx, backendTimeout) }

func (k *lock) releaseWithin(ctx context.Context, d time.Duration) error {
	l := k.locker
	if ctx.Err() != nil {
		return l.releaseUnheard(ctx, k)
	}
	a := l.newAnswer(d)
	sent, inline, err := l.release(k, a.err, hasInlineBudget(ctx))
	if err != nil || !sent {
		l.keepAnswer(a)
		return err
	}
	if inline != nil {
		inline.Run()
	}
	for {
		select {
		case err := <-a.err:
			l.keepAnswer(a)
			return err
		case <-ctx.Done():
			if context.Cause(ctx) == ErrReleased && k.governs(ctx) {
				// With the lock's own, by this release. What else would end it
				// still counts: what is above the lock, and its deadline.
				deadline, has := ctx.Deadline()
				if ctx = k.parent; has {
					var cancel context.CancelFunc
					ctx, cancel = context.WithDeadline(ctx, deadline)
					defer cancel()
				}
				continue
			}
			a.timer.Stop()
			return unconfirmed(context.Cause(ctx))
		case <-a.timer.C:
			return unconfirmed(fmt.Errorf("%w: %w", ErrBackend, errNoAnswer))
		}
	}
}

// releaseUnheard is Release for a caller who does not wait for the answer,
// because its context has ended.
func (l *RedisLocker) releaseUnheard(ctx context.Context, k *lock) error {
	sent, _, err := l.release(k, nil, false)
	switch {
	case err != nil || !sent:
		return err
	case ctx == ended:
		return errUnheard
	}
	return unconfirmed(context.Cause(ctx))
}

// errUnheard is made once: guards release with ended, and do not look at it.
var errUnheard = unconfirmed(context.Canceled)

func unconfirmed(err error) error {
	return fmt.Errorf("core: the release is not confirmed yet and goes on in the background: %w", err)
}

// returnUnused releases a lock that its request did not live to see.
func (k *lock) returnUnused() { _, _, _ = k.locker.release(k, nil, false) }

// release passes the lock on inside this process, or sends the lease back, and
// with it the next in this process's line to stand in the queue. If it was sent,
// the answer comes over the channel, unless that is nil. The caller has to make
// the inline call, if there is one: there is none if the caller is not patient.
//
// The holder's context ends first: whoever is next must not be in while the last
// one's says that it holds the lock.
func (l *RedisLocker) release(k *lock, answer chan<- error, patient bool) (sent bool, inline *backend.InlineCall, err error) {
	l.mu.Lock()
	if k.released {
		l.mu.Unlock()
		return false, nil, ErrReleased
	}
	k.released = true
	if k.stopUnused(ErrReleased) {
		defer l.mu.Unlock()
		sent, inline = l.passOn(k, answer, patient)
		return sent, inline, nil
	}
	l.mu.Unlock()
	ended := false
	defer func() { // also if the parent of the context, which is the caller's, panics
		l.mu.Lock()
		defer l.mu.Unlock()
		sent, inline = l.passOn(k, answer, patient && ended)
	}()
	k.stop(ErrReleased)
	ended = true
	return sent, inline, nil
}

// passOn gives the lease of k to the next in line here, or sends it back. The caller
// holds mu; k's context has ended.
func (l *RedisLocker) passOn(k *lock, answer chan<- error, patient bool) (sent bool, inline *backend.InlineCall) {
	now := time.Now()
	l.history.released(k.key, k.name, now.Sub(k.since))
	if next := l.nextLocal(k, now); next != nil {
		l.assign(k.entry, next, HandoffLocal, k.holder(), now)
		l.reserveTokens(k.entry, now)
		return false, nil
	}
	return true, l.sendBack(k, answer, patient, now)
}

// sendBack gives the lease back to Redis. The caller holds mu.
func (l *RedisLocker) sendBack(k *lock, answer chan<- error, patient bool, now time.Time) (inline *backend.InlineCall) {
	e, q := k.entry, k.entry.queue
	r := &releaseCall{locker: l, lock: k, lost: e.lost, proven: e.valid.Remaining(now) > 0, answer: answer}
	l.stopLease(e)
	// Known until the release is answered: a note that comes meanwhile calls
	// for no other release, which would make this one find nothing.
	l.detach(e)
	q.served = e.served

	var requeue backend.Entry
	if q.entry == nil && q.line.length > 0 {
		r.next, r.from = l.newEntry(q), k.holder()
		l.expectAnswer(r.next)
		if q.subscription.active {
			requeue = r.next.wire
		}
	}
	l.forgetIfIdle(q)
	used, reserved := e.tokens.unused()
	op := backend.Release(q.names, e.wire.ID(), used, reserved, requeue)
	if e.others && *e.meta != *k.meta {
		op = op.From(string(appendMeta(nil, *k.meta, k.since))) // else the next would hear of a holder before
	}
	if patient && r.next == nil {
		inline, _ = l.backend.Inline(op, r.answered)
	} else {
		l.backend.Do(op, r.answered)
	}
	if l.holders--; l.holders == 0 && l.drained != nil {
		close(l.drained) // only now that the release is in the backend
		l.drained = nil
	}
	return inline
}

// releaseCall is a lease on its way back to Redis.
type releaseCall struct {
	locker *RedisLocker
	lock   *lock
	lost   bool         // before it was released
	proven bool         // it was proven to be ours when it was released
	answer chan<- error // for Release's error; nil if nobody waits
	next   *entry       // queued with it, or nil
	from   *Holder      // its predecessor
}

func (r *releaseCall) answered(a backend.Answer) {
	err := r.outcome(a)
	if r.answer != nil {
		r.answer <- err
	}
	if r.next != nil {
		r.locker.onRequeueReply(r.next, a, r.from)
	}
}

// outcome is Release's error.
func (r *releaseCall) outcome(a backend.Answer) error {
	l, e := r.locker, r.lock.entry
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.entries, e.number)
	if a.Err != nil || e.lateGrant || e.mayExecute || e.inFlight > 0 {
		l.cancel(e) // until nothing can be left, or the lease has expired
	}
	switch {
	case r.lost:
		return ErrLost
	case a.Err != nil:
		return fmt.Errorf("%w: the release goes on in the background: %w", ErrBackend, a.Err)
	case a.Reply.Status != backend.Released && !(a.Repeated && r.proven):
		return ErrLost // else its first attempt must have released it
	}
	return nil
}

// onRequeueReply takes the answer to a release for the entry that was to be queued
// with it.
func (l *RedisLocker) onRequeueReply(e *entry, a backend.Answer, from *Holder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.inFlight--
	// The release, or its first attempt, may be done yet, and queue it.
	e.mayExecute = e.mayExecute || a.Err != nil || a.Repeated
	r := a.Reply.Requeued
	switch {
	case e.state == retired && r != nil:
		l.onLateReply(e, backend.Answer{Reply: *r, Sent: a.Sent, Repeated: a.Repeated})
	case e.state == retired:
		l.onLateReply(e, a)
	case a.Err == nil && r != nil:
		handoff := HandoffNone
		if r.Status == backend.Granted {
			handoff = HandoffLocal
		}
		l.onServerReply(e, a, *r, handoff, from)
	case e.state == held:
	default:
		// Not queued, or not known to be: another's lease, a lost reply, or no
		// subscription yet. Asking is right in each case.
		l.send(e)
	}
}
