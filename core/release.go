package core

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/engine"
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
	in := inline{may: hasInlineBudget(ctx)}
	sent, err := l.release(k, a.err, &in)
	if err != nil || !sent {
		l.keepAnswer(a)
		return err
	}
	if in.call != nil {
		in.call.Run()
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
	sent, err := l.release(k, nil, &inline{})
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
func (k *lock) returnUnused() { _, _ = k.locker.release(k, nil, &inline{}) }

// release passes the lock on inside this process, or sends the lease back. If it was
// sent, the answer comes over the channel, unless that is nil. The caller has to make
// the inline call, if there is one: there is none if that may not be.
//
// The holder's context ends first: whoever is next must not be in while the last
// one's says that it holds the lock.
func (l *RedisLocker) release(k *lock, answer chan<- error, in *inline) (sent bool, err error) {
	l.mu.Lock()
	if k.released {
		l.mu.Unlock()
		return false, ErrReleased
	}
	k.released = true
	if k.stopUnused(ErrReleased) {
		defer l.mu.Unlock()
		return l.unlock(k, answer, in), nil
	}
	l.mu.Unlock()
	ended := false
	defer func() { // also if the parent of the context, which is the caller's, panics
		l.mu.Lock()
		defer l.mu.Unlock()
		in.may = in.may && ended
		sent = l.unlock(k, answer, in)
	}()
	k.stop(ErrReleased)
	ended = true
	return sent, nil
}

// unlock gives the lease of k to the next in line here, or sends it back: then it
// returns true. The caller holds mu; k's context has ended.
func (l *RedisLocker) unlock(k *lock, answer chan<- error, in *inline) (sent bool) {
	now := time.Now()
	l.history.released(k.key, k.name, now.Sub(k.since))
	k.answers = answer
	before := l.machine.Holders()
	tell(l.stepLocked(&engine.Event{Kind: engine.Unlock, Entry: &k.entry.Entry}, now, in))
	sent = l.machine.Holders() < before
	if l.machine.Holders() == 0 && l.drained != nil {
		close(l.drained) // only now that the release is in the backend
		l.drained = nil
	}
	return sent
}

// answer tells the Release of k, if somebody waits for it, what it came to.
func (k *lock) answer(err error) {
	if k.answers == nil {
		return
	}
	switch err {
	case nil:
	case engine.ErrLost:
		err = ErrLost
	default:
		err = fmt.Errorf("%w: the release goes on in the background: %w", ErrBackend, err)
	}
	k.answers <- err
}
