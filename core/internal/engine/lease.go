package engine

import "time"

// maxRenewals is how many renewals of one lease may be under way: one that is
// stuck must not keep the next from being sent, over another connection.
const maxRenewals = 3

// lease is the part of an entry that counts once it is held: by one holder after
// another, see handoff.go. It is one for all of them, and so is its timers.
type lease struct {
	// Holder is the present holder, or the last one; Grant's effect says who.
	Holder     any
	holderMeta any
	since      time.Time // when it became the holder
	maxHoldAt  time.Time // the end of its time; zero if it has none

	valid  Validity
	begun  time.Time // when it was granted
	tokens tokens
	served int  // holders so far
	others bool // another process waits, or did
	// lost is set once and for all: by the deadline, by a renewal's answer, or
	// at the end.
	lost bool
	// overdue is set when MaxHold is over, broken when an operator has broken the
	// lease. Either way it is not renewed or passed on any more.
	overdue, broken bool
	// warned is set by a message that an operator has broken it, which proves
	// nothing.
	warned   bool
	renewing int8
}

// ending tells whether the lease is left to expire.
func (e *lease) ending() bool { return e.overdue || e.broken }

// extend takes a proof that the lease was ours when asked at sent. What has
// lapsed stays lapsed: between then and now another may have held the lock.
func (e *lease) extend(sent, now time.Time) {
	if !e.lost && e.valid.Remaining(now) > 0 {
		e.valid = e.valid.Later(e.valid.Renewed(sent))
	}
}

// startLease starts the alarms of a lease.
func (m *Machine) startLease(e *Entry, b TokenRange, v Validity, now time.Time) {
	e.valid, e.begun = v, now
	e.tokens.start(b)
	m.holders++
	renewAt := v.From().Add(e.TTL / 3)
	if e.Meta != e.line.head().Meta {
		renewAt = now // the lease still names one who gave up
	}
	m.setAlarm(e, Next, renewAt)
	m.setAlarm(e, Expiry, v.End())
}

// stopLease stops the alarms of a lease.
func (m *Machine) stopLease(e *Entry) {
	m.clearAlarm(e, Next)
	m.clearAlarm(e, Expiry)
	m.limitHold(e, 0, time.Time{})
}

// sendRenewal renews the lease now, and again a third of the TTL later whether
// or not this is answered. It reserves more fencing tokens for it if tokens is
// not 0.
func (m *Machine) sendRenewal(e *Entry, tokens int, now time.Time) {
	if e.state != held || e.lost || e.ending() {
		return
	}
	m.setAlarm(e, Next, now.Add(e.TTL/3))
	if e.renewing == maxRenewals {
		return
	}
	refresh := e.Meta != e.holderMeta
	e.Meta = e.holderMeta
	e.renewing++
	e.tokens.asked = e.tokens.asked || tokens > 0
	m.ask(Op{Kind: OpRenew, Entry: e, Tokens: tokens, Refresh: refresh})
}

// onRenewReply takes the answer to a renewal. An error says nothing about the lease:
// it is tried again until the deadline.
func (m *Machine) onRenewReply(e *Entry, tokens int, a *Answer, now time.Time) {
	e.renewing--
	if tokens > 0 {
		e.tokens.asked = false
	}
	if e.state != held || e.lost {
		return
	}
	a = a.unacked(&a.Reply)
	came := a.Err
	switch {
	case a.Err != nil:
		if !e.ending() {
			m.setAlarm(e, Next, now.Add(min(e.TTL/10, time.Second)))
		}
	case a.Reply.Status == StatusRenewed:
		e.extend(a.Sent, now)
		e.others = e.others || a.Reply.Queued > 0
		if tokens > 0 {
			e.tokens.add(a.Reply.Tokens)
		}
	case a.Reply.Status == StatusBroken:
		e.broken = true
		m.clearAlarm(e, Next)
		came = ErrBroken
		m.do(Effect{Kind: Stop, Entry: e, Holder: e.Holder, Cause: came})
	default:
		if came = ErrLost; e.warned {
			came = ErrBrokenNow
		}
		m.onLost(e, came, now)
	}
	m.do(Effect{Kind: Renewed, Entry: e, Holder: e.Holder, Cause: came})
}

// onExpiry ends the lease if its validity has lapsed. Its alarm is apart from those of
// all that talks to Redis, so that this cannot make it late.
func (m *Machine) onExpiry(e *Entry, now time.Time) {
	if e.state != held || e.lost {
		return
	}
	if left := e.valid.Remaining(now); left > 0 {
		m.setAlarm(e, Expiry, now.Add(left))
		return
	}
	m.onLost(e, ErrLost, now)
}

// onLost marks the lease as lost, and stops its holder. The entry stays held until
// that is done (rule 3); the line goes back to Redis with a new one.
func (m *Machine) onLost(e *Entry, cause error, now time.Time) {
	e.lost = true
	m.stopLease(e)
	if q := e.line; q.entry == e {
		q.entry = nil
		m.advance(q, now)
	}
	m.do(Effect{Kind: Stop, Entry: e, Holder: e.Holder, Cause: cause})
}

// limitHold bounds the present holder's time, not the lease's; with zero it has
// no bound.
func (m *Machine) limitHold(e *Entry, d time.Duration, now time.Time) {
	switch {
	case d > 0:
		e.maxHoldAt = now.Add(d)
		m.setAlarm(e, MaxHold, e.maxHoldAt)
	case !e.maxHoldAt.IsZero():
		e.maxHoldAt = time.Time{}
		m.clearAlarm(e, MaxHold)
	}
}

// onMaxHold ends a holder's time. The lease is left to expire: until then the
// holder may come to an end without anybody else in.
func (m *Machine) onMaxHold(e *Entry, now time.Time) {
	if e.state != held || e.lost || e.maxHoldAt.IsZero() || now.Before(e.maxHoldAt) {
		return // it may have been set for the last holder
	}
	e.overdue = true
	m.clearAlarm(e, Next)
	m.do(Effect{Kind: Stop, Entry: e, Holder: e.Holder, Cause: ErrMaxHold})
}
