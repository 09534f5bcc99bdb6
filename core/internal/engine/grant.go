package engine

import "time"

// tokenLeeway is by how much the fencing tokens of a message may be ahead of this
// machine's clock, and of what Redis has answered with, in microseconds: a day.
const tokenLeeway = 24 * 3600 * 1e6

// onGranted takes a grant that was published by another's release.
func (m *Machine) onGranted(e *Entry, g *Message, now time.Time) {
	switch {
	case !m.plausible(g.Tokens, now): // a poll will ask
	case e.line.Key != g.Key || e.state == held:
	case e.state == retired:
		e.lateGrant = true // its release is under way
	default:
		// Not from the arrival of the message: the process may have been
		// stopped with it in its socket. Nor from the last answered request:
		// between this grant and that answer the lease may have expired, and
		// the entry queued again under another ticket. Only an answer with
		// this very ticket proves that the grant came later.
		since := e.firstSend
		if w := e.wait; w != nil && g.Ticket == w.ticket {
			since = w.ticketSent
		}
		if m.Acks {
			m.confirm(e, &Confirmation{Tokens: g.Tokens, Since: since, Queued: g.Queued, From: g.From}, now)
			return
		}
		e.others = g.Queued > 0
		m.grant(e, g.Tokens, since, Remote, g.From, now)
	}
}

// plausible reports whether the tokens of a message are near the time, or near those
// that Redis has answered with. A store that takes one that is not would refuse
// everybody else for as long as it is ahead. A wrong clock here costs no more than
// a poll.
func (m *Machine) plausible(b TokenRange, now time.Time) bool {
	return b.Last <= max(m.lastSeen, uint64(max(0, now.UnixMicro())))+tokenLeeway
}

// confirm renews a lease that another process has granted to e, so that replicas
// acknowledge it before anybody runs under it; e is asking or waiting.
//
// What is renewed may be another grant than this one, with other tokens: the lease
// may have expired before, and the entry, queued again, been granted again. It is
// this one as long as its Since, a moment before it was granted, is less than its time
// to live ago.
func (m *Machine) confirm(e *Entry, c *Confirmation, now time.Time) {
	m.expectAnswer(e, now)
	m.ask(Op{Kind: OpRenew, Entry: e, Confirm: c})
}

// onConfirmReply takes the answer to that renewal.
func (m *Machine) onConfirmReply(e *Entry, c *Confirmation, a *Answer, now time.Time) {
	e.inFlight--
	a = a.unacked(&a.Reply)
	switch {
	case e.state == retired, e.state == held: // a poll was answered first
	case a.Err != nil:
		m.onFailure(e, a, now)
	case a.Reply.Status != StatusRenewed, Since(c.Since, e.TTL).Remaining(now) <= 0:
		m.send(e, now) // it has expired meanwhile, or may have
	default:
		e.unanswered, e.fault, e.unsent = time.Time{}, nil, false
		e.others = c.Queued > 0 || a.Reply.Queued > 0
		m.grant(e, c.Tokens, a.Sent, Remote, c.From, now)
	}
}

// grant makes e held, valid for its time to live since the given moment, and
// gives the lock to the head of the line; e is asking or waiting.
func (m *Machine) grant(e *Entry, b TokenRange, since time.Time, handoff Handoff, from any, now time.Time) {
	valid := Since(since, e.TTL)
	if valid.Remaining(now) <= 0 {
		// It is ours, but was under way for so long that this is not proven any
		// more. Nothing runs under it; asked again, the server says how it is. But
		// not for ever: Redis may always be slower than so short a lease lasts.
		w := e.ensureWait()
		switch {
		case w.lateSince.IsZero():
			w.lateSince = now
		case now.Sub(w.lateSince) >= maxLapsed:
			m.failAll(e, ErrLapsed, false, now)
			return
		}
		if e.inFlight == 0 {
			m.send(e, now)
		}
		return
	}
	e.state = held
	if handoff != Remote {
		m.lastSeen = max(m.lastSeen, b.Last)
	}
	m.startLease(e, b, valid, now)
	head := e.line.head()
	if handoff == Remote && !head.Contended {
		// The message has overtaken the answer that we have to wait.
		head.Contended, head.Position = true, 1
	}
	m.assign(e, head, handoff, from, now)
}

// maxLapsed is for how long grants that come too late are asked for again.
const maxLapsed = 2 * time.Second
