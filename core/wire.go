package core

import (
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/engine"
)

// send sends an operation of the machine's, over in if that may be and nothing else has
// to go along.
func (l *RedisLocker) send(o *engine.Op, now time.Time, in *inline) {
	switch o.Kind {
	case engine.OpAcquire:
		l.sendAcquire(o, now, in)
	case engine.OpRenew:
		l.sendRenewal(*o)
	case engine.OpRelease:
		l.sendRelease(o.Release, now, in)
	case engine.OpCancel:
		e, c := o.Entry.Data.(*entry), o.Cleanup
		l.backend.Do(backend.Cancel(e.names(), e.text(now)), func(a backend.Answer) {
			l.step(&engine.Event{Kind: engine.Replied, Op: engine.Op{Kind: engine.OpCancel, Entry: &e.Entry, Cleanup: c}, Answer: answerOf(&a)})
		})
	case engine.OpListening:
		s := o.Subscription
		l.backend.Do(backend.AskListening(s.Data.(*subscription).names, l.process), func(a backend.Answer) {
			l.step(&engine.Event{Kind: engine.Replied, Op: engine.Op{Kind: engine.OpListening, Subscription: s}, Answer: answerOf(&a)})
		})
	}
}

func (e *entry) names() backend.Names { return namesOf(e.Line()) }

// text is e as it stands in Redis, with the start of its wait, or hold, in it.
func (e *entry) text(now time.Time) backend.Entry {
	if e.wire == "" {
		l := e.locker
		id := backend.MakeID(l.process, l.sealer.Seal(e.Number))
		e.wire = makeEntry(id, e.TTL, e.Tokens, e.Meta.(*Meta), now)
	}
	return e.wire
}

// makeEntry is an entry with m and the holder's start as its metadata.
func makeEntry(id backend.ID, ttl time.Duration, tokens int, m *Meta, since time.Time) backend.Entry {
	var buf [256]byte
	return backend.MakeEntry(id, ttl, tokens, appendMeta(buf[:0], *m, since))
}

func (l *RedisLocker) sendAcquire(o *engine.Op, now time.Time, in *inline) {
	e := o.Entry.Data.(*entry)
	op := backend.Acquire(e.names(), e.text(now), o.Wait, maxQueued)
	done := func(a backend.Answer) { l.onAcquireReply(e, &a) }
	first := !e.asked
	e.asked = true
	var k *backend.Call
	if first && in != nil && in.may {
		in.call, k = l.backend.Inline(op, done)
	} else {
		k = l.backend.Do(op, done)
	}
	if first {
		e.call = k
	}
}

// onAcquireReply takes the answer to a question.
func (l *RedisLocker) onAcquireReply(e *entry, a *backend.Answer) {
	v := engine.Event{Kind: engine.Replied, Op: engine.Op{Kind: engine.OpAcquire, Entry: &e.Entry}, Answer: answerOf(a)}
	l.mu.Lock()
	e.call = nil
	now := time.Now()
	l.noteOwnerLocked(e, a.Reply.Owner, now)
	told := l.stepLocked(&v, now, nil)
	l.mu.Unlock()
	tell(told)
}

// noteOwnerLocked notes whose lease is in e's way, if an answer has told.
func (l *RedisLocker) noteOwnerLocked(e *entry, owner backend.Entry, now time.Time) {
	if owner != "" {
		l.history.seen(e.Line().Key, owner.ID(), now)
	}
}

func (l *RedisLocker) sendRenewal(o engine.Op) {
	e := o.Entry.Data.(*entry)
	var refreshed backend.Entry
	if o.Refresh {
		refreshed = makeEntry(e.wire.ID(), e.TTL, 1, e.lock.meta, e.lock.since)
	}
	l.backend.Do(backend.Renew(e.names(), e.wire, refreshed, o.Tokens), func(a backend.Answer) {
		l.step(&engine.Event{Kind: engine.Replied, Op: o, Answer: answerOf(&a)})
	})
}

func (l *RedisLocker) sendRelease(r *engine.Release, now time.Time, in *inline) {
	e, k := r.Entry.Data.(*entry), r.Holder.(*lock)
	var requeue backend.Entry
	if r.Next != nil {
		next := r.Next.Data.(*entry)
		next.asked = true
		if r.Requeue {
			requeue = next.text(now)
		}
	}
	op := backend.Release(e.names(), e.wire.ID(), r.Used, r.Reserved, requeue)
	if r.NameHolder {
		op = op.From(string(appendMeta(nil, *k.meta, k.since))) // else the next would hear of a holder before
	}
	done := func(a backend.Answer) { l.onReleaseReply(r, &a) }
	if in != nil && in.may && r.Next == nil {
		in.call, _ = l.backend.Inline(op, done)
	} else {
		l.backend.Do(op, done)
	}
}

// onReleaseReply takes the answer to a release, and to what was queued with it.
func (l *RedisLocker) onReleaseReply(r *engine.Release, a *backend.Answer) {
	v := engine.Event{Kind: engine.Replied, Op: engine.Op{Kind: engine.OpRelease, Entry: r.Entry, Release: r}, Answer: answerOf(a)}
	l.mu.Lock()
	now := time.Now()
	if q := a.Reply.Requeued; q != nil {
		l.noteOwnerLocked(r.Next.Data.(*entry), q.Owner, now)
	}
	told := l.stepLocked(&v, now, nil)
	l.mu.Unlock()
	tell(told)
}

// answerOf is a, for the machine.
func answerOf(a *backend.Answer) engine.Answer {
	to := engine.Answer{Err: a.Err, Sent: a.Sent, Repeated: a.Repeated}
	switch {
	case a.Err == backend.ErrClosed:
		to.Fault = engine.Ended
	case a.Err != nil && backend.NotSent(a.Err):
		to.Fault = engine.Unsent
	case a.Err == nil:
		to.Reply = replyOf(&a.Reply)
	}
	if u := a.Unacked; u != nil {
		to.Unacked = &ReplicaAckError{u.Replicas, u.Got, u.Within, u.Cause}
	}
	return to
}

func replyOf(r *backend.Reply) engine.Reply {
	to := engine.Reply{
		Status: engine.Status(r.Status), Tokens: engine.TokenRange(r.Tokens), Ticket: r.Ticket, Position: r.Position, Heard: r.Heard,
		Queued: r.Queued, TTL: r.TTL,
	}
	if r.Owner != "" {
		to.Owner = holderFrom(r.Owner.Meta())
	}
	if r.Requeued != nil {
		q := replyOf(r.Requeued)
		to.Requeued = &q
	}
	return to
}

// holderFrom is the holder of that metadata, nil if it does not tell.
func holderFrom(meta string) any {
	if h := decodeHolder(meta); h != nil {
		return h
	}
	return nil
}

// onGrantMessage takes a grant that was published by another's release.
func (l *RedisLocker) onGrantMessage(g backend.Grant) {
	l.onMessage(g.ID, engine.Message{
		Kind: engine.Granted, Key: g.Key, Ticket: g.Ticket, Tokens: engine.TokenRange(g.Tokens), Queued: g.Queued, From: holderFrom(g.From),
	})
}

// onContentionMessage takes a note that another waits for a lease of ours.
func (l *RedisLocker) onContentionMessage(n backend.Note) {
	l.onMessage(n.ID, engine.Message{Kind: engine.Contended, Key: n.Key})
}

// onBreakMessage takes a note that an operator has broken a lease of ours.
func (l *RedisLocker) onBreakMessage(n backend.Note) {
	l.onMessage(n.ID, engine.Message{Kind: engine.Broken, Key: n.Key})
}

func (l *RedisLocker) onMessage(id backend.ID, m engine.Message) {
	sealed, ok := id.Of(l.process)
	if !ok {
		return
	}
	l.mu.Lock()
	m.Number = l.sealer.Open(sealed)
	told := l.stepLocked(&engine.Event{Kind: engine.Told, Message: &m}, time.Now(), nil)
	l.mu.Unlock()
	tell(told)
}
