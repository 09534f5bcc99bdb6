package core

import (
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/timer"
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

// entry is what stands in Redis for this process's line for one key: first in
// the queue there, then as the lease. Its fields are guarded by RedisLocker.mu.
//
// A process may have a hundred thousand of them, so what only some need is apart.
type entry struct {
	queue  *queue
	number uint64 // unique in this process
	wire   backend.Entry
	meta   *Meta // in wire
	ttl    time.Duration
	wait   bool // may join the queue in Redis
	state  state
	// lateGrant is set if an acquire was answered, or a grant came, after the release
	// had been sent: it may have been done after the release, too.
	lateGrant bool
	// mayExecute is set if an acquire had no answer: it may be done yet, at any
	// time, and after the end of the entry would leave a lease to nobody.
	mayExecute bool

	// alarm is the next poll, or the next renewal once it is held; it is on
	// RedisLocker.work.
	alarm timer.Alarm

	// What was sent and answered. unanswered is when the oldest question that
	// has no answer yet was sent, zero if there is none.
	firstSend  time.Time
	unanswered time.Time
	fault      error // of the last attempt, if it failed
	inFlight   int
	// firstCall is the first question, until it is answered: nothing is known to Redis
	// before it has left this process.
	firstCall *backend.Call

	// What is known of its wait; nil before it has to wait.
	queueInfo *queueInfo

	lease
}

// queueInfo is what an entry knows that has been kept waiting, from the last answer.
type queueInfo struct {
	ticket     uint64
	ticketSent time.Time // when that answer was asked for
	position   int
	owner      *Holder       // who is in the way
	ownerTTL   time.Duration // and what remained of its lease
	pollPause  time.Duration // the pause after an error, or without a place in line; doubling
	lateSince  time.Time     // since when all that was granted came too late
	askAgain   bool          // to be asked again: a grant may have been missed
}

// ensureQueueInfo returns what is known of e's wait, and makes it if there is none. The caller holds mu.
func (e *entry) ensureQueueInfo() *queueInfo {
	if e.queueInfo == nil {
		e.queueInfo = &queueInfo{}
	}
	return e.queueInfo
}

// newEntry puts an entry in place for the head of q's line. The caller holds mu
// and sends it.
func (l *RedisLocker) newEntry(q *queue) *entry {
	s := &q.head().settings
	l.counter++
	id, tokens := backend.MakeID(l.process, l.sealer.Seal(l.counter)), l.tokensFor(q)
	e := &entry{
		queue: q, number: l.counter, meta: l.shared(&s.Meta, nil), ttl: s.TTL, wait: s.waits(),
		wire: makeEntry(id, s.TTL, tokens, &s.Meta, time.Now()),
	}
	q.entry = e
	l.entries[e.number] = e
	return e
}

// makeEntry is an entry with m and the holder's start as its metadata.
func makeEntry(id backend.ID, ttl time.Duration, tokens int, m *Meta, since time.Time) backend.Entry {
	var buf [256]byte
	return backend.MakeEntry(id, ttl, tokens, appendMeta(buf[:0], *m, since))
}

// serves tells whether e, which stood in Redis for another, may go on for r: its
// terms are fixed.
func (e *entry) serves(r *request) bool {
	return e.ttl == r.settings.TTL && (e.wait || !r.settings.waits())
}

// Due does what e's alarm was set for.
func (e *entry) Due() {
	l := e.queue.locker
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e.state {
	case asking, queued:
		l.poll(e)
	case held:
		l.sendRenewal(e, 0)
	}
}

// lookup finds the entry that a message names, nil if it is retired and its end not
// under way just now. It returns false if the message is forged: no entry of this
// process has ever had that ID, and who has read one can name it. The caller holds
// mu.
func (l *RedisLocker) lookup(id backend.ID) (*entry, bool) {
	sealed, ok := id.Of(l.process)
	if !ok {
		return nil, false
	}
	number := l.sealer.Open(sealed)
	return l.entries[number], 0 < number && number <= l.counter
}

// send asks for the lease, for the first time or again. The caller holds mu.
func (l *RedisLocker) send(e *entry) {
	first := e.firstSend.IsZero()
	k := l.backend.Do(l.question(e), func(a backend.Answer) { l.onAcquireReply(e, a) })
	if first {
		e.firstCall = k
	}
}

// question is what is asked for e. The caller holds mu, and sends it.
func (l *RedisLocker) question(e *entry) backend.Op {
	l.expectAnswer(e)
	// Who is not heard to listen must not stand in line: its grant would find
	// nobody, and it would lose its place.
	return backend.Acquire(e.queue.names, e.wire, e.wait && e.queue.subscription.active, maxQueued)
}

// onAcquireReply takes the answer to a question.
func (l *RedisLocker) onAcquireReply(e *entry, a backend.Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.inFlight--
	e.firstCall = nil
	e.mayExecute = e.mayExecute || a.Repeated // the first attempt may be done yet
	l.onReply(e, a)
}

// expectAnswer notes that a question about e is being sent. The caller holds
// mu.
func (l *RedisLocker) expectAnswer(e *entry) {
	now := time.Now()
	if e.firstSend.IsZero() {
		e.firstSend = now
	}
	if e.unanswered.IsZero() {
		e.unanswered = now
	}
	e.inFlight++
	l.setPoll(e, e.unanswered.Add(l.silence))
}

// onReply takes the answer to a question that was sent for e. The caller holds mu.
func (l *RedisLocker) onReply(e *entry, a backend.Answer) {
	switch {
	case e.state == retired:
		l.onLateReply(e, a)
	case a.Err != nil:
		l.onFailure(e, a.Err)
	default:
		l.onServerReply(e, a, a.Reply, HandoffNone, nil)
	}
}

// onLateReply is rule 1 for answers: what a retired entry was given goes back.
// The caller holds mu.
func (l *RedisLocker) onLateReply(e *entry, a backend.Answer) {
	switch {
	case l.entries[e.number] == e:
		// Its release is under way. Another end beside it could come first,
		// and the release would then find that the lease is not ours.
		e.lateGrant, e.mayExecute = true, e.mayExecute || a.Err != nil
	case a.Err != nil:
		e.mayExecute = true
		l.cancel(e)
	case a.Repeated, a.Reply.Status == backend.Granted, a.Reply.Status == backend.Waiting, a.Reply.Status == backend.Broken:
		l.cancel(e)
	}
}

// onFailure takes note that an attempt had no answer, so that its outcome is
// unknown, or one that is not to count. The caller holds mu; e is not retired.
func (l *RedisLocker) onFailure(e *entry, err error) {
	e.fault = err
	if _, known := err.(*ReplicaAckError); !known && !backend.NotSent(err) {
		e.mayExecute = true
	}
	switch {
	case e.state == held:
	case e.state == asking && !e.queue.head().info.Contended:
		l.failAll(e, err)
	default:
		// Those in line live through an outage, unless it is a long one: see poll.
		l.pollAfterError(e)
	}
}

// failAll sends everybody away because Redis does not answer. The caller holds
// mu.
func (l *RedisLocker) failAll(e *entry, err error) {
	q := e.queue
	sentinel := ErrBackend
	withdrawn := l.withdraw(e)
	switch {
	case backend.NotSent(err):
		sentinel = ErrQueueFull
		withdrawn = withdrawn || e.state == asking && !e.mayExecute
	case withdrawn && l.backend.Down(q.names) == nil:
		sentinel, err = ErrQueueFull, errNotSent // Redis answers others
	}
	l.refuseAll(q, sentinel, err)
	l.forget(e)
	if !withdrawn {
		l.cancel(e)
	}
	l.forgetIfIdle(q)
}

// onServerReply takes what the server said of e: r, which is a or a part of it. handoff
// and from tell who passed the lease on, if it was granted in answer to a release.
// The caller holds mu; e is not retired.
func (l *RedisLocker) onServerReply(e *entry, a backend.Answer, r backend.Reply, handoff Handoff, from *Holder) {
	if err := unacked(r, a.Unacked); err != nil {
		l.onFailure(e, err)
		return
	}
	e.unanswered, e.fault = time.Time{}, nil
	sent := a.Sent
	if e.queueInfo != nil && r.Status != backend.Held {
		e.queueInfo.pollPause = 0
	}
	q := e.queue
	if e.state == held {
		// The grant came first. What was asked before it may say that we wait;
		// what was asked after it, that the lease is prolonged.
		switch r.Status {
		case backend.Granted:
			e.extend(sent)
			if e.lost && l.closed {
				l.cancel(e) // it was cut off, and this may have come after its release
			}
		case backend.Waiting:
			// From before the grant, unless the lease has expired since.
			e.lateGrant = e.lateGrant || e.valid.Remaining(time.Now()) <= 0
		case backend.Broken:
			l.sendRenewal(e, 0) // whose answer stops the holder
		}
		return
	}
	switch r.Status {
	case backend.Granted:
		e.others = r.Queued > 0
		l.grant(e, r.Tokens, sent, handoff, from)
	case backend.Waiting:
		e.state = queued
		w := e.ensureQueueInfo()
		w.ticket, w.ticketSent, w.lateSince = r.Ticket, sent, time.Time{}
		l.blocked(e, r)
		q.head().notifyWaiting()
		l.verifySubscription(q.subscription, r.Heard, sent)
		if w.askAgain {
			w.askAgain = false
			l.send(e)
			return
		}
		l.pollLater(e, r)
	case backend.Held:
		l.blocked(e, r)
		if !e.wait {
			l.refuse(q.head(), q.head().refusal(), nil)
			l.forget(e) // it is nowhere in Redis
			if e.mayExecute {
				l.cancel(e) // but may yet be
			}
			l.advance(q)
			return
		}
		q.head().notifyWaiting()
		l.subscribe(q.subscription)
		if q.subscription.active {
			l.send(e) // since asking, the subscription was confirmed
			return
		}
		l.pollOutOfLine(e, r)
	case backend.Full:
		l.blocked(e, r)
		l.refuseAll(q, ErrQueueFull, nil)
		l.forget(e) // it is nowhere in Redis
		if e.mayExecute {
			l.cancel(e) // but may yet be
		}
		l.forgetIfIdle(q)
	case backend.Broken:
		// It was granted before we heard of it, and broken since. Nothing has run
		// under it, and nothing will.
		l.retire(e)
		l.advance(q)
	default:
		l.failAll(e, &backend.ScriptError{Text: "unexpected answer to an acquire"})
	}
}

// blocked notes who is in the way, for those in line to tell. The caller holds
// mu.
func (l *RedisLocker) blocked(e *entry, r backend.Reply) {
	w := e.ensureQueueInfo()
	w.owner, w.ownerTTL, w.position = holderOf(r.Owner), r.TTL, r.Queued+1
	if r.Status == backend.Waiting {
		w.position = r.Position
	}
	e.queue.locker.history.seen(e.queue.key, r.Owner.ID(), time.Now())
	if h := e.queue.head(); !h.info.Contended {
		h.info.Contended, h.info.Position = true, w.position
		l.limitWait(h)
	}
	for req := e.queue.head(); req != nil; req = req.next {
		if req.info.Blocker == nil {
			req.info.Blocker = w.owner
		}
	}
}

// forget retires e without a word to Redis. The caller holds mu.
func (l *RedisLocker) forget(e *entry) {
	delete(l.entries, e.number)
	l.detach(e)
}

// detach retires e, but leaves it known. The caller holds mu.
func (l *RedisLocker) detach(e *entry) {
	e.state = retired
	l.background.Clear(&e.alarm)
	if e.queue.entry == e {
		e.queue.entry = nil
	}
}

// retire gives e up, whatever has become of it. The caller holds mu; e is
// asking or waiting.
func (l *RedisLocker) retire(e *entry) {
	l.forget(e)
	if !l.withdraw(e) {
		l.cancel(e)
	}
}

// withdraw takes back what was asked for e, and reports whether nothing of it has
// left this process. The caller holds mu.
func (l *RedisLocker) withdraw(e *entry) bool {
	if e.inFlight != 1 || !l.backend.Withdraw(e.firstCall) {
		return false
	}
	e.firstCall, e.inFlight = nil, 0
	return true
}
