package engine

import (
	"fmt"
	"time"
)

// state is where an entry is in its life. It only ever goes forward, except that
// it may go from asking to held directly. These rules keep two holders apart
// whatever is lost, late or repeated; a model checker broke every weaker set.
//
//  1. A grant or an answer for a held entry never causes a release. For a
//     retired or unknown one it causes an owner-checked release at once, and so
//     does a note that names it as the owner. An acquire whose answer was never
//     read is followed by that release.
//  2. The first answer or grant that makes an entry held fixes its fencing
//     tokens; later ones never change them. More of them come from renewals.
//  3. A validity that has lapsed is never revived, whatever a later answer
//     says. A lost lease stays held, for rule 1, until its holder is done.
//  4. A new wait never inherits an entry that is being ended: the end, arriving
//     late, would end the new wait's lease.
type state uint8

const (
	asking  state = iota // sent, or about to be; nothing is known yet
	queued               // known to be in the queue
	held                 // known to own the lease, or to have owned it until it was lost
	retired              // its end has been sent or scheduled
)

var stateNames = [...]string{"asking", "queued", "held", "retired"}

// Entry is what stands in Redis for this process's line for one key: first in
// the queue there, then as the lease.
//
// A process may have a hundred thousand of them, so what only some need is apart.
type Entry struct {
	Number uint64 // unique in this process
	TTL    time.Duration
	Tokens int // how many fencing tokens it asks for
	Meta   any // its metadata in Redis
	Data   any // the driver's

	line     *Line
	mayQueue bool // may join the queue in Redis
	state    state
	// lateGrant is set if an acquire was answered, or a grant came, after the release
	// had been sent: it may have been done after the release, too.
	lateGrant bool
	// mayExecute is set if an acquire had no answer: it may be done yet, at any
	// time, and after the end of the entry would leave a lease to nobody.
	mayExecute bool

	// What was sent and answered. unanswered is when the oldest question that
	// has no answer yet was sent, zero if there is none.
	firstSend  time.Time
	unanswered time.Time
	fault      error // of the last attempt, if it failed
	unsent     bool  // it failed because it did not leave the process
	inFlight   int

	// What is known of its wait; nil before it has to wait.
	wait *waitInfo

	lease
}

// waitInfo is what an entry knows that has been kept waiting, from the last answer.
type waitInfo struct {
	ticket     uint64
	ticketSent time.Time // when that answer was asked for
	position   int
	owner      any           // the holder in another process
	ownerTTL   time.Duration // and what remained of its lease
	pollPause  time.Duration // the pause after an error, or without a place in line; doubling
	lateSince  time.Time     // since when all that was granted came too late
	askAgain   bool          // to be asked again: a grant may have been missed
}

// ensureWait returns what is known of e's wait, and makes it if there is none.
func (e *Entry) ensureWait() *waitInfo {
	if e.wait == nil {
		e.wait = &waitInfo{}
	}
	return e.wait
}

func (e *Entry) String() string { return fmt.Sprintf("e%d", e.Number) }

// Line is the line that e stands for.
func (e *Entry) Line() *Line { return e.line }

// newEntry puts an entry in place for the head of q's line.
func (m *Machine) newEntry(q *Line) *Entry {
	r := q.head()
	m.counter++
	e := m.world.NewEntry()
	e.line, e.Number, e.TTL, e.Meta, e.Tokens, e.mayQueue = q, m.counter, r.TTL, r.Meta, m.tokensFor(q), r.waits()
	q.entry = e
	m.entries[e.Number] = e
	return e
}

// serves tells whether e, which stood in Redis for another, may go on for r: its
// terms are fixed.
func (e *Entry) serves(r *Request) bool {
	return e.TTL == r.TTL && (e.mayQueue || !r.waits())
}

// onNext polls, or renews.
func (m *Machine) onNext(e *Entry, now time.Time) {
	switch e.state {
	case asking, queued:
		m.poll(e, now)
	case held:
		m.sendRenewal(e, 0, now)
	}
}

// send asks for the lease, for the first time or again.
func (m *Machine) send(e *Entry, now time.Time) {
	m.expectAnswer(e, now)
	// Who is not heard to listen must not stand in line: its grant would find
	// nobody, and it would lose its place.
	m.ask(Op{Kind: OpAcquire, Entry: e, Wait: e.mayQueue && e.line.Subscription.active})
}

// expectAnswer notes that a question about e is being sent.
func (m *Machine) expectAnswer(e *Entry, now time.Time) {
	if e.firstSend.IsZero() {
		e.firstSend = now
	}
	if e.unanswered.IsZero() {
		e.unanswered = now
	}
	e.inFlight++
	m.setAlarm(e, Next, e.unanswered.Add(m.Silence))
}

// onAcquireReply takes the answer to a question.
func (m *Machine) onAcquireReply(e *Entry, a *Answer, now time.Time) {
	e.inFlight--
	e.mayExecute = e.mayExecute || a.Repeated // the first attempt may be done yet
	switch {
	case e.state == retired:
		m.onLateReply(e, a.Reply.Status, a, now)
	case a.Err != nil:
		m.onFailure(e, a, now)
	default:
		m.onServerReply(e, a, &a.Reply, None, nil, now)
	}
}

// onLateReply is rule 1 for answers: what a retired entry was given goes back.
func (m *Machine) onLateReply(e *Entry, s Status, a *Answer, now time.Time) {
	switch {
	case m.entries[e.Number] == e:
		// Its release is under way. Another end beside it could come first,
		// and the release would then find that the lease is not ours.
		e.lateGrant, e.mayExecute = true, e.mayExecute || a.Err != nil
	case a.Err != nil:
		e.mayExecute = true
		m.cancel(e, now)
	case a.Repeated, s == StatusGranted, s == StatusWaiting, s == StatusBroken:
		m.cancel(e, now)
	}
}

// onFailure takes note that an attempt had no answer, so that its outcome is
// unknown, or one that is not to count; e is not retired.
func (m *Machine) onFailure(e *Entry, a *Answer, now time.Time) {
	e.fault, e.unsent = a.Err, a.Fault == Unsent
	if a.Fault != Unacked && a.Fault != Unsent {
		e.mayExecute = true
	}
	switch {
	case e.state == held:
	case e.state == asking && !e.line.head().Contended:
		m.failAll(e, a.Err, a.Fault == Unsent, now)
	default:
		// Those in line live through an outage, unless it is a long one: see poll.
		m.pollAfterError(e, now)
	}
}

// failAll sends everybody away because Redis does not answer.
func (m *Machine) failAll(e *Entry, err error, unsent bool, now time.Time) {
	q := e.line
	why := Backend
	withdrawn := m.withdraw(e)
	switch {
	case unsent:
		why = QueueFull
		withdrawn = withdrawn || e.state == asking && !e.mayExecute
	case withdrawn && m.world.Down(q) == nil:
		why, err = QueueFull, ErrNotSent // Redis answers others
	}
	m.refuseAll(q, why, err, now)
	m.forget(e)
	if !withdrawn {
		m.cancel(e, now)
	}
	m.forgetIfIdle(q)
}

// onServerReply takes what the server said of e: r, which is a's reply or a part of it.
// handoff and from tell who passed the lease on, if it was granted in answer to a
// release; e is not retired.
func (m *Machine) onServerReply(e *Entry, a *Answer, r *Reply, handoff Handoff, from any, now time.Time) {
	if u := a.unacked(r); u.Err != nil {
		m.onFailure(e, u, now)
		return
	}
	e.unanswered, e.fault, e.unsent = time.Time{}, nil, false
	if e.wait != nil && r.Status != StatusHeld {
		e.wait.pollPause = 0
	}
	if e.state == held {
		m.onReplyWhileHeld(e, a, r, now)
		return
	}
	q := e.line
	switch r.Status {
	case StatusGranted:
		e.others = r.Queued > 0
		m.grant(e, r.Tokens, a.Sent, handoff, from, now)
	case StatusWaiting:
		e.state = queued
		w := e.ensureWait()
		w.ticket, w.ticketSent, w.lateSince = r.Ticket, a.Sent, time.Time{}
		m.blocked(e, r)
		m.notify(q.head())
		m.verify(q.Subscription, r.Heard, a.Sent, now)
		if w.askAgain {
			w.askAgain = false
			m.send(e, now)
			return
		}
		m.pollLater(e, r, now)
	case StatusHeld:
		m.blocked(e, r)
		if !e.mayQueue {
			m.refuse(q.head(), q.head().refusal(), nil, now)
			m.forgetUnqueued(e, now)
			m.advance(q, now)
			return
		}
		m.notify(q.head())
		m.subscribe(q.Subscription, now)
		if q.Subscription.active {
			m.send(e, now) // since asking, the subscription was confirmed
			return
		}
		m.pollOutOfLine(e, r, now)
	case StatusFull:
		m.blocked(e, r)
		m.refuseAll(q, QueueFull, nil, now)
		m.forgetUnqueued(e, now)
		m.forgetIfIdle(q)
	case StatusBroken:
		// It was granted before we heard of it, and broken since. Nothing has run
		// under it, and nothing will.
		m.retire(e, now)
		m.advance(q, now)
	default:
		m.failAll(e, ErrUnexpected, false, now)
	}
}

// onReplyWhileHeld takes an answer that the grant has overtaken. What was asked
// before it may say that we wait; what was asked after it, that the lease is prolonged.
func (m *Machine) onReplyWhileHeld(e *Entry, a *Answer, r *Reply, now time.Time) {
	switch r.Status {
	case StatusGranted:
		e.extend(a.Sent, now)
		if e.lost && m.closed {
			m.cancel(e, now) // it was cut off, and this may have come after its release
		}
	case StatusWaiting:
		// From before the grant, unless the lease has expired since.
		e.lateGrant = e.lateGrant || e.valid.Remaining(now) <= 0
	case StatusBroken:
		m.sendRenewal(e, 0, now) // whose answer stops the holder
	}
}

// blocked notes who is in the way, for those in line to tell.
func (m *Machine) blocked(e *Entry, r *Reply) {
	w := e.ensureWait()
	w.owner, w.ownerTTL, w.position = r.Owner, r.TTL, r.Queued+1
	if r.Status == StatusWaiting {
		w.position = r.Position
	}
	if h := e.line.head(); !h.Contended {
		h.Contended, h.Position = true, w.position
		m.limitWait(h)
	}
	for req := e.line.head(); req != nil; req = req.next {
		if req.Blocker == nil {
			req.Blocker = w.owner
		}
	}
}

// forget retires e without a word to Redis.
func (m *Machine) forget(e *Entry) {
	delete(m.entries, e.Number)
	m.detach(e)
}

// forgetUnqueued retires e, which is nowhere in Redis, but may yet be.
func (m *Machine) forgetUnqueued(e *Entry, now time.Time) {
	m.forget(e)
	if e.mayExecute {
		m.cancel(e, now)
	}
}

// detach retires e, but leaves it known.
func (m *Machine) detach(e *Entry) {
	if e.state != held { // else stopLease has
		m.clearAlarm(e, Next)
	}
	e.state = retired
	if e.line.entry == e {
		e.line.entry = nil
	}
}

// retire gives e up, whatever has become of it; e is asking or waiting.
func (m *Machine) retire(e *Entry, now time.Time) {
	m.forget(e)
	if !m.withdraw(e) {
		m.cancel(e, now)
	}
}

// withdraw takes back what was asked for e, and reports whether nothing of it has
// left this process.
func (m *Machine) withdraw(e *Entry) bool {
	if e.inFlight != 1 || !m.world.Withdraw(e) {
		return false
	}
	e.inFlight = 0
	return true
}

// onBroken takes a message that an operator has broken e's lease, which proves nothing:
// the answer to a question does.
func (m *Machine) onBroken(e *Entry, now time.Time) {
	switch {
	case e.state == held:
		e.warned = true
		m.sendRenewal(e, 0, now)
	case e.state == retired: // its release is under way
	case e.inFlight == 0:
		m.send(e, now)
	}
}

// silence tells why nothing is known of e just now: the last question failed, or
// is unanswered for longer than an answer takes. NotRefused if neither.
func (m *Machine) silence(e *Entry, now time.Time) (Refusal, error) {
	switch {
	case e.fault != nil && e.unsent:
		return QueueFull, e.fault
	case e.fault != nil:
		return Backend, e.fault
	case e.unanswered.IsZero() || now.Sub(e.unanswered) <= m.SlowAnswer:
		return NotRefused, nil
	case m.crowded(e, e.unanswered, now):
		return QueueFull, ErrNotSent
	}
	return Backend, ErrNoAnswer
}

// crowded reports whether what was asked for e at that time has no answer because it
// had to wait in this process, while Redis answers others.
func (m *Machine) crowded(e *Entry, asked, now time.Time) bool {
	sent, known := m.world.Sent(e)
	if !known || m.world.Down(e.line) != nil {
		return false
	}
	return sent.IsZero() || sent.Sub(asked) > m.SlowAnswer && now.Sub(sent) <= m.SlowAnswer
}
