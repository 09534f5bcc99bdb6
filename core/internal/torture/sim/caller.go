package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

// patience is far more than all holders need, one after another, with all leases
// that faults may leave behind: who waits for so long was forgotten.
const patience = 2 * time.Minute

// caller asks for locks, one after another, and does to each what holders do.
func (w *world) caller(locker, number int, l *core.RedisLocker) {
	c := &caller{world: w, id: 10*locker + number, hook: w.ways[locker], locker: l}
	c.random = w.random("caller", uint64(c.id))
	for range w.plan.rounds {
		c.sleep(2 * w.plan.ttl / 3)
		c.call()
	}
}

type caller struct {
	*world
	id     int
	hook   *hook
	locker *core.RedisLocker
	random *rand.Rand
}

func (c *caller) upTo(most time.Duration) time.Duration {
	return time.Duration(c.random.Int64N(int64(most) + 1))
}

// sleep is for up to most, and as long as the process is paused.
func (c *caller) sleep(most time.Duration) {
	time.Sleep(c.upTo(most))
	c.hook.awaitResume()
}

func (c *caller) percent(n int) bool { return c.random.IntN(100) < n }

// call is one attempt and, if it is granted, one tenure.
func (c *caller) call() {
	a := history.Attempt{
		Key: keyName(c.random.IntN(c.plan.keys)), Process: c.id / 10, Caller: c.id, Call: c.now(),
		Proven: history.Never, Freed: history.Never, Back: history.Never,
	}
	wait := patience
	if c.percent(30) {
		wait = 0
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	deadline := history.Never
	if c.percent(c.plan.leavers) {
		d := c.upTo(2 * c.plan.ttl)
		if c.percent(50) {
			d = c.upTo(4 * c.plan.delay) // while its first question is under way
		}
		deadline = a.Call + d
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	c.enter(a.Key)
	defer c.leave(a.Key)
	lock, err := c.locker.Acquire(ctx, a.Key, core.Wait(wait))
	a.Return = c.now()
	c.onTime(a.Return, deadline)
	if err != nil {
		a.Outcome = c.outcome(err, wait, a.Return, deadline)
		c.add(a)
		return
	}
	a.Outcome, a.Token = history.Granted, lock.Token()
	c.hold(lock, &a)
}

// onTime is O7's part about time: a call returns when its context ends. A client
// that heeds deadlines may take 30 ms more, see core's documentation.
func (c *caller) onTime(at, deadline time.Duration) {
	if late := at - deadline; late > 30*time.Millisecond {
		c.note("O7", "caller %d is told %v after its deadline", c.id, late)
	}
}

// outcome is what an error means, and O7's part about errors: which there may be.
func (c *caller) outcome(err error, wait, at, deadline time.Duration) history.Outcome {
	fine := false
	switch {
	case errors.Is(err, core.ErrHeld):
		if wait == 0 {
			return history.Held
		}
	case errors.Is(err, core.ErrBackend): // its cause may be another's deadline
		fine = !c.plan.orderly()
	case errors.Is(err, context.DeadlineExceeded):
		fine = at >= deadline
	}
	if !fine {
		c.note("O7", "caller %d: %v", c.id, err)
	}
	return history.Open
}

// released is the same for the error of a release: where nothing goes wrong a holder is
// told that the lock is free, unless he does not wait for that.
func (c *caller) released(ctx context.Context, err error) {
	switch {
	case err == nil || ctx.Err() != nil:
	case !c.plan.orderly() && (errors.Is(err, core.ErrLost) || errors.Is(err, core.ErrBackend)):
	default:
		c.note("O7", "Release: %v", err)
	}
}

// hold is a tenure: the holder writes to the stores, works, perhaps for longer
// than its lease lasts, writes again, and releases the lock.
func (c *caller) hold(lock core.Lock, a *history.Attempt) {
	look := func() {
		left := lock.Remaining()
		if left == 0 {
			return
		}
		a.Proven = max(a.Proven, c.now()+left)
		// What proves a lease was sent while Redis knew of it: before it forgot, or after
		// a late question of the same process has brought the lease anew.
		if forgot := time.Duration(c.forgot.Load()); a.Return < forgot && a.Proven > forgot+c.plan.ttl && !c.hook.askedSince(a.Key, forgot) {
			c.note("O4", "token %d is proven until %v, though Redis forgot it at %v", a.Token, a.Proven, forgot)
		}
	}
	a.Proven = 0
	look()
	a.First = a.Proven
	if a.Proven == 0 { // no time passes between the grant and its return
		c.note("O2", "caller %d has token %d without proof", c.id, a.Token)
	}
	n := c.add(*a) // what follows is added to it
	c.write(n, a)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		c.watch(lock)
	}()
	stay := c.plan.ttl / 10
	if c.percent(25) {
		stay = 2 * c.plan.ttl // across renewals
	}
	heedless := c.percent(c.plan.heedless)
	for range 4 {
		c.sleep(stay / 4)
		look()
		if lock.Context().Err() != nil && !heedless {
			break
		}
		c.write(n, a)
	}
	look()
	a.Freed = c.now()
	ctx, cancel := context.WithCancel(context.Background())
	if c.percent(30) {
		cancel() // as of a request that has been cancelled: it is released all the same
	}
	defer cancel()
	err := lock.Release(ctx)
	if err == nil {
		a.Back = c.now()
	}
	c.released(ctx, err)
	if cause := context.Cause(lock.Context()); c.plan.orderly() && errors.Is(cause, core.ErrLost) {
		c.note("O7", "token %d was lost, though nothing went wrong: %v", a.Token, cause)
	}
	<-watched
	c.mu.Lock()
	c.attempts[n] = *a
	c.mu.Unlock()
}

// watch is O4: when its proof ends the holder has been told, no later than that.
func (c *caller) watch(lock core.Lock) {
	for lock.Context().Err() == nil {
		left := lock.Remaining()
		if left == 0 {
			time.Sleep(time.Nanosecond) // others run at this moment, too
			if lock.Context().Err() == nil {
				c.note("O4", "token %d is not proven any more, and its holder was not told", lock.Token())
			}
			return
		}
		select {
		case <-time.After(left):
		case <-lock.Context().Done():
		}
	}
}

// add adds an attempt to the history, and returns its place there.
func (w *world) add(a history.Attempt) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.attempts = append(w.attempts, a)
	return len(w.attempts) - 1
}

// write has a holder write to the fenced store, and to its twin.
func (w *world) write(n int, a *history.Attempt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ok := a.Token >= w.stored[a.Key]
	if ok {
		w.stored[a.Key] = a.Token
	}
	w.writes = append(w.writes, history.Write{Attempt: n, Accepted: ok})
}
