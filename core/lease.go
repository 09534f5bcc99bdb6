package core

import (
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/timer"
)

// maxRenewals is how many renewals of one lease may be under way: one that is
// stuck must not keep the next from being sent, over another connection.
const maxRenewals = 3

// lease is the part of an entry that counts once it is held: by one holder after
// another, see handoff.go. It is one for all of them, and so is its timers.
type lease struct {
	lock   *lock // the present holder's, or the last one's
	valid  timer.Validity
	begun  time.Time // when it was granted
	tokens tokens
	served int  // holders so far
	others bool // another process waits, or did
	// lost is set once and for all: by the deadline, by a renewal's answer, or
	// at the Locker's end.
	lost bool
	// overdue is set when MaxHold is over, broken when an operator has broken the
	// lease. Either way it is not renewed or passed on any more.
	overdue, broken bool
	// warned is set by a message that an operator has broken it, which proves
	// nothing.
	warned   bool
	renewing int8

	deadline timer.Alarm // on RedisLocker.deadlines
	maxHold  *maxHold    // nil until a holder has one
}

// expiryAlarm is the end of an entry's validity, as an alarm.
type expiryAlarm entry

// Due ends the lease, if it was not prolonged.
func (e *expiryAlarm) Due() { e.queue.locker.onExpiry((*entry)(e)) }

// ending tells whether the lease is left to expire.
func (e *lease) ending() bool { return e.overdue || e.broken }

// maxHold is the end of the present holder's time.
type maxHold struct {
	entry *entry
	at    time.Time   // zero if the holder has none
	alarm timer.Alarm // on RedisLocker.deadlines
}

// Due ends the holder's time.
func (m *maxHold) Due() { m.entry.queue.locker.onMaxHold(m) }

// extend takes a proof that the lease was ours when asked at sent. What has
// lapsed stays lapsed: between then and now another may have held the lock.
func (e *lease) extend(sent time.Time) {
	if !e.lost && e.valid.Remaining(time.Now()) > 0 {
		e.valid = e.valid.Later(e.valid.Renewed(sent))
	}
}

// startLease starts the timers of a lease. The caller holds mu.
func (l *RedisLocker) startLease(e *entry, b backend.TokenRange, v timer.Validity, now time.Time) {
	e.valid, e.begun = v, now
	e.tokens.start(b)
	l.holders++
	renewAt := v.From().Add(e.ttl / 3)
	if *e.meta != e.queue.head().settings.Meta {
		renewAt = now // the lease still names one who gave up
	}
	l.background.Set(&e.alarm, renewAt, e)
	l.deadlines.Set(&e.deadline, v.End(), (*expiryAlarm)(e))
}

// stopLease stops the timers of a lease. The caller holds mu.
func (l *RedisLocker) stopLease(e *entry) {
	l.background.Clear(&e.alarm)
	l.deadlines.Clear(&e.deadline)
	l.limitHold(e, 0, time.Time{})
}

// sendRenewal renews the lease now, and again a third of the TTL later whether
// or not this is answered. It reserves more fencing tokens for it if tokens is
// not 0. The caller holds mu.
func (l *RedisLocker) sendRenewal(e *entry, tokens int) {
	if e.state != held || e.lost || e.ending() {
		return
	}
	l.background.Set(&e.alarm, time.Now().Add(e.ttl/3), e)
	if e.renewing == maxRenewals {
		return
	}
	var refreshed backend.Entry
	if k := e.lock; *e.meta != *k.meta {
		e.meta = k.meta
		refreshed = makeEntry(e.wire.ID(), e.ttl, 1, k.meta, k.since)
	}
	e.renewing++
	e.tokens.asked = e.tokens.asked || tokens > 0
	l.backend.Do(backend.Renew(e.queue.names, e.wire, refreshed, tokens), func(a backend.Answer) {
		l.onRenewReply(e, tokens, a)
	})
}

// onRenewReply takes the answer to a renewal. An error says nothing about the lease:
// it is tried again until the deadline.
func (l *RedisLocker) onRenewReply(e *entry, tokens int, a backend.Answer) {
	l.mu.Lock()
	e.renewing--
	if tokens > 0 {
		e.tokens.asked = false
	}
	if e.state != held || e.lost {
		l.mu.Unlock()
		return
	}
	holder := e.lock
	var stop *lock
	var cause error
	failed := a.Err
	if failed == nil {
		failed = unacked(a.Reply, a.Unacked)
	}
	switch {
	case failed != nil:
		if !e.ending() {
			l.background.Set(&e.alarm, time.Now().Add(min(e.ttl/10, time.Second)), e)
		}
	case a.Reply.Status == backend.Renewed:
		e.extend(a.Sent)
		e.others = e.others || a.Reply.Queued > 0
		if tokens > 0 {
			e.tokens.add(a.Reply.Tokens)
		}
	case a.Reply.Status == backend.Broken:
		stop, cause = l.breakOff(e), ErrBroken
	default:
		if cause = ErrLost; e.warned {
			cause = errBrokenNow
		}
		stop = l.onLost(e)
	}
	l.mu.Unlock()
	if stop != nil {
		stop.stop(cause)
		failed = stopError(cause)
	}
	holder.renewed(failed)
}

// onExpiry ends the lease if its validity has lapsed. It has a schedule of
// its own, so that nothing that talks to Redis can make it late.
func (l *RedisLocker) onExpiry(e *entry) {
	l.mu.Lock()
	if e.state != held || e.lost {
		l.mu.Unlock()
		return
	}
	now := time.Now()
	if left := e.valid.Remaining(now); left > 0 {
		l.deadlines.Set(&e.deadline, now.Add(left), (*expiryAlarm)(e))
		l.mu.Unlock()
		return
	}
	k := l.onLost(e)
	l.mu.Unlock()
	k.stop(ErrLost)
}

// onLost marks the lease as lost. The entry stays held until its holder is done
// (rule 3); the line goes back to Redis with a new one. The caller holds mu,
// and then stops the holder that is returned.
func (l *RedisLocker) onLost(e *entry) *lock {
	e.lost = true
	l.stopLease(e)
	if q := e.queue; q.entry == e {
		q.entry = nil
		l.advance(q)
	}
	return e.lock
}

// limitHold bounds the present holder's time, not the lease's; with zero it has
// no bound. The caller holds mu.
func (l *RedisLocker) limitHold(e *entry, d time.Duration, now time.Time) {
	m := e.maxHold
	switch {
	case d > 0:
		if m == nil {
			m = &maxHold{entry: e}
			e.maxHold = m
		}
		m.at = now.Add(d)
		l.deadlines.Set(&m.alarm, m.at, m)
	case m != nil && !m.at.IsZero():
		m.at = time.Time{}
		l.deadlines.Clear(&m.alarm)
	}
}

// onMaxHold ends a holder's time. The lease is left to expire: until then the
// holder may come to an end without anybody else in.
func (l *RedisLocker) onMaxHold(m *maxHold) {
	l.mu.Lock()
	e := m.entry
	if e.state != held || e.lost || m.at.IsZero() || time.Now().Before(m.at) {
		l.mu.Unlock() // it may have been set for the last holder
		return
	}
	e.overdue = true
	l.background.Clear(&e.alarm)
	k := e.lock
	l.mu.Unlock()
	k.stop(ErrMaxHold)
}
