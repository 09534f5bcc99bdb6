package core

import (
	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// queue is the local side of one key: this process's requests for it, in the
// order of their arrival. Only one of them, the head, is in Redis, through the
// queue's entry; thousands of local waiters cost Redis no more than one.
type queue struct {
	locker       *RedisLocker
	key          string
	names        backend.Names // of key, in Redis
	subscription *subscription // that hears about it
	line         line
	// entry stands in Redis for the head of the line, or is the lease of the
	// present holder. It is nil while nobody asks, and is never retired: what
	// is given up is taken out at once.
	entry *entry
	// served is how many holders the last lease had, one after another.
	served int
}

// line is a list of requests in the order of their arrival. They are linked
// themselves: a waiter is to cost little memory.
type line struct {
	first, last *request
	length      int
}

func (n *line) push(r *request) {
	if r.prev = n.last; r.prev != nil {
		r.prev.next = r
	} else {
		n.first = r
	}
	n.last = r
	n.length++
}

func (n *line) remove(r *request) {
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		n.first = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	} else {
		n.last = r.prev
	}
	r.prev, r.next = nil, nil
	n.length--
}

// admitLocked admits r to the line of its key, or says why not.
func (l *RedisLocker) admitLocked(r *request) (err, cause error) {
	l.arrivals.Lock()
	defer l.arrivals.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed, nil
	}
	q := l.queues[r.key]
	if q == nil {
		names := l.backend.Names(r.key)
		q = &queue{locker: l, key: r.key, names: names, subscription: l.subscriptionOf(names)}
	}
	ahead := q.line.length
	behind := ahead > 0 || q.entry != nil
	if behind {
		l.describe(r, q, ahead)
		switch {
		case r.settings.Wait == 0:
			err := ErrHeld
			if e := q.entry; e != nil && e.state != held {
				if sentinel, why := e.silence(); sentinel != nil {
					err, cause = sentinel, why // nobody is known to hold it
				}
			}
			r.info.RetryAfter = l.retryHint(r, q, err, cause)
			return err, cause
		case ahead >= r.settings.MaxWaiters, l.waiters >= maxProcessWaiters:
			r.info.RetryAfter = l.retryHint(r, q, ErrQueueFull, nil)
			return ErrQueueFull, nil
		}
		// Whoever is behind another here will be queued by its release, and
		// must then be able to hear of the grant.
		l.subscribe(q.subscription)
		r.behind = true
	} else if down := l.backend.Down(q.names); down != nil {
		r.info.RetryAfter = l.retryHint(r, q, ErrBackend, down)
		return ErrBackend, down
	} else if l.waiters >= maxProcessWaiters {
		r.info.RetryAfter = l.retryHint(r, q, ErrQueueFull, errManyWait)
		return ErrQueueFull, errManyWait
	}
	l.queues[r.key] = q
	r.queue = q
	q.line.push(r)
	l.waiters++
	q.subscription.waiters++
	// Redis's answer, or that there is none, mostly comes before the longest
	// wait can be over; then no alarm is needed.
	if behind || r.settings.Wait > 0 && r.settings.Wait < l.silence {
		l.limitWait(r)
	}
	switch {
	case q.entry != nil:
		l.reserveTokens(q.entry, r.start)
	case r.mayRunInline:
		// It would wait for nothing else: the call may be its own.
		e := l.newEntry(q)
		r.inline, e.firstCall = l.backend.Inline(l.question(e), func(a backend.Answer) { l.onAcquireReply(e, a) })
	default:
		l.askForHead(q)
	}
	return nil, nil
}

// limitWait has r leave the line when its longest wait is over. The caller holds mu.
func (l *RedisLocker) limitWait(r *request) {
	if !r.waitLimited && r.settings.Wait > 0 {
		r.waitLimited = true
		l.deadlines.Set(&r.waitTimer, r.start.Add(r.settings.Wait), r)
	}
}

// describe fills in what r can know of who is before it. The caller holds mu.
func (l *RedisLocker) describe(r *request, q *queue, ahead int) {
	r.info.Contended = true
	r.info.Position = ahead + 1
	switch e := q.entry; {
	case e == nil:
	case e.state == held:
		r.info.Blocker = e.lock.holder()
	default:
		if w := e.queueInfo; w != nil {
			r.info.Blocker = w.owner
			r.info.Position += max(0, w.position-1)
		}
	}
}

// removeFromLine removes r from the line, the queue from the map if nothing is left of
// it. The caller holds mu.
func (l *RedisLocker) removeFromLine(r *request) {
	q := r.queue
	q.line.remove(r)
	r.queue = nil
	l.waiters--
	q.subscription.waiters--
	l.forgetIfIdle(q)
}

// forgetIfIdle forgets a queue that has neither requests nor an entry. The caller holds
// mu.
func (l *RedisLocker) forgetIfIdle(q *queue) {
	if q.line.length == 0 && q.entry == nil && l.queues[q.key] == q {
		delete(l.queues, q.key)
	}
}

func (q *queue) head() *request { return q.line.first }

// onCancel has a request go away, in time or because its context has ended, unless
// its outcome is there already. The caller holds mu.
func (l *RedisLocker) onCancel(r *request) {
	if r.queue == nil {
		return
	}
	// Its time is over because others were in the way, or because Redis did
	// not answer.
	q, wasHead := r.queue, r.queue.head() == r
	out := outcome{err: ErrWaitTimeout}
	e := q.entry
	if e != nil {
		if sentinel, cause := e.silence(); sentinel != nil {
			out = outcome{err: sentinel, cause: cause}
		}
	}
	if !r.info.Contended && out.cause == nil {
		out = outcome{err: ErrBackend, cause: l.noAnswer(q)}
		if e != nil && l.crowded(e, r.start) {
			out = outcome{err: ErrQueueFull, cause: errNotSent}
		}
	}
	r.info.RetryAfter = l.retryHint(r, q, out.err, out.cause)
	l.removeFromLine(r)
	r.settle(out)
	if e := q.entry; wasHead && e != nil && e.state != held {
		// The entry may go on for the next in line: nothing has been sent
		// that would end it. But its terms are fixed.
		if next := q.head(); next == nil || !e.serves(next) {
			l.retire(e)
			l.advance(q)
		}
	}
	l.forgetIfIdle(q)
}

// refuse sends a request in line away. The caller holds mu.
func (l *RedisLocker) refuse(r *request, err, cause error) {
	r.info.RetryAfter = l.retryHint(r, r.queue, err, cause)
	l.removeFromLine(r)
	r.settle(outcome{err: err, cause: cause})
}

// refuseAll sends everybody in line away. The caller holds mu.
func (l *RedisLocker) refuseAll(q *queue, err, cause error) {
	for r := q.head(); r != nil; r = q.head() {
		l.refuse(r, err, cause)
	}
}

// advance asks on behalf of the next in line, if there is one and nobody
// stands in Redis yet. The caller holds mu.
func (l *RedisLocker) advance(q *queue) {
	if q.entry == nil && q.line.length > 0 {
		l.askForHead(q)
	}
	l.forgetIfIdle(q)
}

// askForHead puts a new entry in place for the head of the line and sends it off. The
// caller holds mu.
func (l *RedisLocker) askForHead(q *queue) { l.send(l.newEntry(q)) }

// holderOf describes the owner of a lease, as far as its metadata tells.
func holderOf(owner backend.Entry) *Holder { return decodeHolder(owner.Meta()) }
