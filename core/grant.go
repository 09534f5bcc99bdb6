package core

import (
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/timer"
)

// onGrantMessage takes a grant that was published by another's release.
func (l *RedisLocker) onGrantMessage(g backend.Grant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ours := l.lookup(g.ID)
	switch {
	case !ours:
	case e == nil:
		l.releaseOrphan(g.Key, g.ID) // rule 1
	case !l.plausible(g.Tokens): // a poll will ask
	case e.queue.key != g.Key || e.state == held:
	case e.state == retired:
		e.lateGrant = true // its release is under way
	default:
		// Not from the arrival of the message: the process may have been
		// stopped with it in its socket. Nor from the last answered request:
		// between this grant and that answer the lease may have expired, and
		// the entry queued again under another ticket. Only an answer with
		// this very ticket proves that the grant came later.
		since := e.firstSend
		if w := e.queueInfo; w != nil && g.Ticket == w.ticket {
			since = w.ticketSent
		}
		if l.acks {
			l.confirmGrant(e, g, since)
			return
		}
		e.others = g.Queued > 0
		l.grant(e, g.Tokens, since, HandoffRemote, decodeHolder(g.From))
	}
}

// onContentionMessage takes a note that another waits for a lease of ours.
func (l *RedisLocker) onContentionMessage(n backend.Note) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e, ours := l.lookup(n.ID); {
	case !ours:
	case e == nil:
		l.releaseOrphan(n.Key, n.ID) // rule 1
	default:
		e.others = true
	}
}

// tokenLeeway is by how much the fencing tokens of a message may be ahead of this
// machine's clock, and of what Redis has answered with, in microseconds: a day.
const tokenLeeway = 24 * 3600 * 1e6

// plausible reports whether the tokens of a message are near the time, or near those
// that Redis has answered with. A store that takes one that is not would refuse
// everybody else for as long as it is ahead. A wrong clock here costs no more than
// a poll.
func (l *RedisLocker) plausible(b backend.TokenRange) bool {
	return b.Last <= max(l.lastSeen, uint64(max(0, time.Now().UnixMicro())))+tokenLeeway
}

// grant makes e held, valid for its time to live since the given moment, and
// gives the lock to the head of the line. The caller holds mu; e is asking or
// waiting.
func (l *RedisLocker) grant(e *entry, b backend.TokenRange, since time.Time, handoff Handoff, from *Holder) {
	now := time.Now()
	valid := timer.Since(since, e.ttl)
	if valid.Remaining(now) <= 0 {
		// It is ours, but was under way for so long that this is not proven any
		// more. Nothing runs under it; asked again, the server says how it is. But
		// not for ever: Redis may always be slower than so short a lease lasts.
		w := e.ensureQueueInfo()
		switch {
		case w.lateSince.IsZero():
			w.lateSince = now
		case now.Sub(w.lateSince) >= backendTimeout:
			l.failAll(e, errLapsed)
			return
		}
		if e.inFlight == 0 {
			l.send(e)
		}
		return
	}
	e.state = held
	if handoff != HandoffRemote {
		l.lastSeen = max(l.lastSeen, b.Last)
	}
	l.startLease(e, b, valid, now)
	head := e.queue.head()
	if handoff == HandoffRemote && !head.info.Contended {
		// The message has overtaken the answer that we have to wait.
		head.info.Contended, head.info.Position = true, 1
	}
	l.assign(e, head, handoff, from, now)
}
