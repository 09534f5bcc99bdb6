package core

import (
	"time"

	"github.com/latchkey-go/latchkey/core/internal/clockwork"
	"github.com/latchkey-go/latchkey/core/internal/remote"
)

// maxRenewals is how many renewals of one lease may be under way: one that is
// stuck must not keep the next from being sent, over another connection.
const maxRenewals = 3

// lease is the part of an entry that counts once it is held.
type lease struct {
	lock  *lock
	valid clockwork.Validity
	block remote.Block
	// lost is set once and for all: by the deadline, by a renewal's answer, or
	// at the Locker's end.
	lost bool
	// overdue is set when MaxHold is over: the lease is not renewed any more.
	overdue  bool
	renewing int

	renewal  clockwork.Alarm // on RedisLocker.work
	deadline clockwork.Alarm // on RedisLocker.deadlines
	maxHold  clockwork.Alarm // on RedisLocker.deadlines
}

// extend takes a proof that the lease was ours when asked at sent. What has
// lapsed stays lapsed: between then and now another may have held the lock.
func (e *lease) extend(sent time.Time) {
	if !e.lost && e.valid.Remaining(time.Now()) > 0 {
		e.valid = e.valid.Later(e.valid.Renewed(sent))
	}
}

// begin starts the clockwork of a lease. The caller holds mu.
func (l *RedisLocker) begin(e *entry, k *lock, b remote.Block, v clockwork.Validity, maxHold time.Duration) {
	e.lock, e.block, e.valid = k, b, v
	l.holders++
	renewAt := v.From().Add(e.ttl / 3)
	if e.meta != k.meta {
		renewAt = time.Now() // the lease still names one who gave up
	}
	l.work.Set(&e.renewal, renewAt, func() { l.renew(e) })
	l.deadlines.Set(&e.deadline, v.End(), func() { l.checkDeadline(e) })
	if maxHold > 0 {
		l.deadlines.Set(&e.maxHold, time.Now().Add(maxHold), func() { l.overstay(e) })
	}
}

// end stops the clockwork of a lease. The caller holds mu.
func (l *RedisLocker) end(e *entry) {
	l.work.Clear(&e.renewal)
	l.deadlines.Clear(&e.deadline)
	l.deadlines.Clear(&e.maxHold)
}

// renew sends a renewal, and the next one a third of the TTL later whether or
// not this one is answered.
func (l *RedisLocker) renew(e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.life != held || e.lost || e.overdue {
		return
	}
	l.work.Set(&e.renewal, time.Now().Add(e.ttl/3), func() { l.renew(e) })
	if e.renewing == maxRenewals {
		return
	}
	var refreshed remote.Entry
	if e.meta != e.lock.meta {
		e.meta = e.lock.meta
		refreshed = remote.MakeEntry(e.wire.ID(), e.ttl, encodeMeta(e.meta, e.lock.since))
	}
	e.renewing++
	l.room.Do(remote.Renew(e.queue.key, e.wire, refreshed), func(a remote.Answer) { l.renewed(e, a) })
}

// renewed takes the answer to a renewal. An error says nothing about the lease:
// it is tried again until the deadline.
func (l *RedisLocker) renewed(e *entry, a remote.Answer) {
	l.mu.Lock()
	e.renewing--
	if e.life != held || e.lost {
		l.mu.Unlock()
		return
	}
	var stop *lock
	switch {
	case a.Err != nil:
		if !e.overdue {
			l.work.Set(&e.renewal, time.Now().Add(min(e.ttl/10, time.Second)), func() { l.renew(e) })
		}
	case a.Reply.Status == remote.Renewed:
		e.extend(a.Sent)
	default:
		stop = l.lose(e)
	}
	l.mu.Unlock()
	if stop != nil {
		stop.stop(ErrLost)
	}
}

// checkDeadline ends the lease if its validity has lapsed. It has a schedule of
// its own, so that nothing that talks to Redis can make it late.
func (l *RedisLocker) checkDeadline(e *entry) {
	l.mu.Lock()
	if e.life != held || e.lost {
		l.mu.Unlock()
		return
	}
	now := time.Now()
	if left := e.valid.Remaining(now); left > 0 {
		l.deadlines.Set(&e.deadline, now.Add(left), func() { l.checkDeadline(e) })
		l.mu.Unlock()
		return
	}
	k := l.lose(e)
	l.mu.Unlock()
	k.stop(ErrLost)
}

// lose marks the lease as lost. The entry stays held until its holder is done
// (rule 3); the line goes back to Redis with a new one. The caller holds mu,
// and then stops the holder that is returned.
func (l *RedisLocker) lose(e *entry) *lock {
	e.lost = true
	l.end(e)
	if q := e.queue; q.entry == e {
		q.entry = nil
		l.advance(q)
	}
	return e.lock
}

// overstay ends a holder's time. The lease is left to expire: until then the
// holder may come to an end without anybody else in.
func (l *RedisLocker) overstay(e *entry) {
	l.mu.Lock()
	if e.life != held || e.lost {
		l.mu.Unlock()
		return
	}
	e.overdue = true
	l.work.Clear(&e.renewal)
	k := e.lock
	l.mu.Unlock()
	k.stop(ErrMaxHold)
}
