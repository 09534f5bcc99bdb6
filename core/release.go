package core

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/remote"
)

// answer is where the outcome of a release arrives, and how long it is waited
// for.
type answer struct {
	err   chan error // capacity 1
	timer *time.Timer
}

func (l *RedisLocker) newAnswer() *answer {
	if a, _ := l.answers.Get().(*answer); a != nil {
		a.timer.Reset(backendTimeout)
		return a
	}
	return &answer{make(chan error, 1), time.NewTimer(backendTimeout)}
}

// Release passes the lock on to the next in line, or sends it back and waits for
// the answer.
func (k *lock) Release(ctx context.Context) error {
	l := k.locker
	a := l.newAnswer()
	defer a.timer.Stop()
	switch sent, err := l.release(k, a.err); {
	case err != nil:
		l.answers.Put(a)
		return err
	case !sent:
		l.answers.Put(a)
		return nil
	}
	var err error
	select {
	case err := <-a.err:
		l.answers.Put(a)
		return err
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-a.timer.C:
		err = fmt.Errorf("%w: %w", ErrBackend, errNoAnswer)
	}
	return fmt.Errorf("core: the release is not confirmed yet and goes on in the background: %w", err)
}

// giveBack releases a lock that its request did not live to see.
func (k *lock) giveBack() { _, _ = k.locker.release(k, make(chan error, 1)) }

// release passes the lock on inside this process, or sends the lease back, and
// with it the next in this process's line to stand in the queue. If it was sent,
// the answer comes over the channel.
func (l *RedisLocker) release(k *lock, answer chan<- error) (sent bool, err error) {
	l.mu.Lock()
	if k.released {
		l.mu.Unlock()
		return false, ErrReleased
	}
	k.released = true
	now := time.Now()
	l.holds.observe(now.Sub(k.who.Since))
	if next := l.successor(k, now); next != nil {
		l.give(k.entry, next, HandoffLocal, k.who, now)
		l.provide(k.entry, now)
	} else {
		l.sendBack(k, answer)
		sent = true
	}
	l.mu.Unlock()
	k.stop(ErrReleased)
	return sent, nil
}

// sendBack gives the lease back to Redis. The caller holds mu.
func (l *RedisLocker) sendBack(k *lock, answer chan<- error) {
	e, q, lost := k.entry, k.entry.queue, k.entry.lost
	l.end(e)
	// Known until the release is answered: a note that comes meanwhile calls
	// for no other release, which would make this one find nothing.
	l.detach(e)
	q.served = e.served

	var next *entry
	var requeue remote.Entry
	if q.entry == nil && q.line.length > 0 {
		next = l.newEntry(q)
		l.expectAnswer(next)
		if l.listening {
			requeue = next.wire
		}
	}
	l.tidy(q)
	used, reserved := e.tokens.unused()
	l.room.Do(remote.Release(q.names, e.wire, used, reserved, requeue), func(a remote.Answer) {
		answer <- l.released(k, lost, a)
		if next != nil {
			l.requeued(next, a, k.who)
		}
	})
	if l.holders--; l.holders == 0 && l.drained != nil {
		close(l.drained) // only now that the release is in the room
		l.drained = nil
	}
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
