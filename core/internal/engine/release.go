package engine

import "time"

const (
	// handoffProof is the longest since the lease was last proven that it is passed
	// on without asking Redis, if that answers: it may have lost its data since, and
	// then others hold the key under higher tokens. While a lease is passed on, it is
	// renewed proofRenewal after it was proven.
	handoffProof = time.Second
	proofRenewal = handoffProof / 3
)

// onRelease passes the lease of e on to the next in line here, or sends it back, and
// with it the next in this process's line to stand in the queue. e is held, and its
// holder's context has ended: whoever is next must not be in while the last one's says
// that it holds the lock.
func (m *Machine) onRelease(e *Entry, now time.Time) {
	if next := m.nextLocal(e, now); next != nil {
		m.assign(e, next, Local, e.Holder, now)
		m.reserveTokens(e, now)
		return
	}
	m.sendBack(e, now)
}

// nextLocal is the request that the lease of e can be passed on to without a
// word to Redis, nil if it must be given back.
func (m *Machine) nextLocal(e *Entry, now time.Time) *Request {
	next := e.line.head()
	switch {
	case next == nil, m.tenureOver(e, now), m.closed,
		e.line.entry != e, e.lost, e.ending(),
		e.tokens.left() == 0,
		// Its own terms; and whoever gets the lock is to have it for a while.
		next.TTL != e.TTL, e.valid.Remaining(now) < e.TTL/3,
		now.Sub(e.valid.From()) > handoffProof && m.world.Down(e.line) == nil:
		return nil
	}
	return next
}

// tenureOver reports whether the tenure has ended: then the next release goes to Redis.
func (m *Machine) tenureOver(e *Entry, now time.Time) bool {
	return m.Tenure == 0 || e.others && now.Sub(e.begun) >= m.Tenure
}

// assign makes r, the first in line, the holder of a lease. from is who held the
// lock before.
func (m *Machine) assign(e *Entry, r *Request, handoff Handoff, from any, now time.Time) {
	e.Holder, e.holderMeta, e.since = nil, r.Meta, now
	e.served++
	m.limitHold(e, r.MaxHold, now)
	m.removeFromLine(r)
	m.do(Effect{Kind: Grant, Request: r, Entry: e, Token: e.tokens.take(), Handoff: handoff, From: from})
}

// sendBack gives the lease back to Redis.
func (m *Machine) sendBack(e *Entry, now time.Time) {
	q := e.line
	used, reserved := e.tokens.unused()
	r := &Release{
		Entry: e, Used: used, Reserved: reserved, Holder: e.Holder, NameHolder: e.others && e.Meta != e.holderMeta,
		lost: e.lost, proven: e.valid.Remaining(now) > 0,
	}
	if !e.lost {
		m.stopLease(e)
	}
	// Known until the release is answered: a note that comes meanwhile calls
	// for no other release, which would make this one find nothing.
	m.detach(e)
	q.served = e.served
	if q.entry == nil && q.requests.length > 0 {
		r.Next, r.Requeue = m.newEntry(q), q.Subscription.active
		m.expectAnswer(r.Next, now)
	}
	m.forgetIfIdle(q)
	m.ask(Op{Kind: OpRelease, Entry: e, Release: r})
	m.holders--
}

// onReleaseReply takes the answer to a release.
func (m *Machine) onReleaseReply(r *Release, a *Answer, now time.Time) {
	e := r.Entry
	delete(m.entries, e.Number)
	if a.Err != nil || e.lateGrant || e.mayExecute || e.inFlight > 0 {
		m.cancel(e, now) // until nothing can be left, or the lease has expired
	}
	var came error
	switch {
	case r.lost:
		came = ErrLost
	case a.Err != nil:
		came = a.Err
	case a.Reply.Status != StatusReleased && !(a.Repeated && r.proven):
		came = ErrLost // else its first attempt must have released it
	}
	m.do(Effect{Kind: Released, Entry: e, Holder: r.Holder, Cause: came})
	if r.Next != nil {
		m.onRequeueReply(r.Next, a, r.Holder, now)
	}
}

// onRequeueReply takes the answer to a release for the entry that was to be queued
// with it.
func (m *Machine) onRequeueReply(e *Entry, a *Answer, from any, now time.Time) {
	e.inFlight--
	// The release, or its first attempt, may be done yet, and queue it.
	e.mayExecute = e.mayExecute || a.Err != nil || a.Repeated
	r := a.Reply.Requeued
	switch {
	case e.state == retired && r != nil:
		m.onLateReply(e, r.Status, a, now)
	case e.state == retired:
		m.onLateReply(e, a.Reply.Status, a, now)
	case a.Err == nil && r != nil:
		handoff := None
		if r.Status == StatusGranted {
			handoff = Local
		}
		m.onServerReply(e, a, r, handoff, from, now)
	case e.state == held:
	default:
		// Not queued, or not known to be: another's lease, a lost reply, or no
		// subscription yet. Asking is right in each case.
		m.send(e, now)
	}
}
