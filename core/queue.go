package core

import (
	"container/list"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/remote"
)

// queue is the local side of one key: this process's requests for it, in the
// order of their arrival. Only one of them, the head, is in Redis, through the
// queue's entry; thousands of local waiters cost Redis no more than one.
type queue struct {
	key  string
	line list.List // of *request
	// entry stands in Redis for the head of the line, or is the lease of the
	// present holder. It is nil while nobody asks, and is never retired: what
	// is given up is taken out at once.
	entry *entry
}

// request is one call of Acquire.
type request struct {
	key      string
	settings Settings
	start    time.Time
	out      chan outcome // capacity 1: what became of it, unless it left

	// Below: guarded by RedisLocker.mu until out has been sent or the request
	// has left.
	queue *queue
	place *list.Element // nil when not in line
	info  Info
}

// waits tells whether a request with these settings gets in line behind another.
func (s Settings) waits() bool { return s.Wait > 0 && s.MaxWaiters > 0 }

// refusal is why a request that does not wait goes away from a held key.
func (r *request) refusal() error {
	if r.settings.Wait == 0 {
		return ErrHeld
	}
	return ErrQueueFull // MaxWaiters(0)
}

// outcome is a lock, or why there is none.
type outcome struct {
	lock       *lock
	err, cause error
}

func newRequest(key string, s Settings, start time.Time) *request {
	return &request{
		key: key, settings: s, start: start,
		out:  make(chan outcome, 1),
		info: Info{LeaseTTL: s.TTL},
	}
}

// failure is the error of a request that is no longer in line.
func (r *request) failure(err, cause error) error {
	r.info.Waited = time.Since(r.start)
	return &AcquireError{Key: r.key, Err: err, Cause: cause, Info: r.info}
}

// join admits r to the line of its key, or says why not.
func (l *RedisLocker) join(r *request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	q := l.queues[r.key]
	if q == nil {
		q = &queue{key: r.key}
	}
	if ahead := q.line.Len(); ahead > 0 || q.entry != nil {
		l.describe(r, q, ahead)
		switch {
		case r.settings.Wait == 0:
			r.info.RetryAfter = l.retryHint(q)
			return ErrHeld
		case ahead >= r.settings.MaxWaiters, l.waiting >= maxProcessWaiters:
			r.info.RetryAfter = l.retryHint(q)
			return ErrQueueFull
		}
		// Whoever is behind another here will be queued by its release, and
		// must then be able to hear of the grant.
		l.listen()
	}
	l.queues[r.key] = q
	r.queue, r.place = q, q.line.PushBack(r)
	l.waiting++
	if q.entry == nil {
		l.ask(q)
	}
	return nil
}

// describe fills in what r can know of who is before it. The caller holds mu.
func (l *RedisLocker) describe(r *request, q *queue, ahead int) {
	r.info.Contended = true
	r.info.Position = ahead + 1
	switch e := q.entry; {
	case e == nil:
	case e.life == held:
		r.info.Blocker = e.lock.holder()
	default:
		r.info.Blocker = e.owner
		r.info.Position += max(0, e.position-1)
	}
}

// take removes r from the line, the queue from the map if nothing is left of
// it. The caller holds mu.
func (l *RedisLocker) take(r *request) {
	r.queue.line.Remove(r.place)
	r.place = nil
	l.waiting--
	l.tidy(r.queue)
}

// tidy forgets a queue that has neither requests nor an entry. The caller holds
// mu.
func (l *RedisLocker) tidy(q *queue) {
	if q.line.Len() == 0 && q.entry == nil && l.queues[q.key] == q {
		delete(l.queues, q.key)
	}
}

func (q *queue) head() *request {
	if f := q.line.Front(); f != nil {
		return f.Value.(*request)
	}
	return nil
}

// leave takes a request that gives up out of the line, and returns its outcome:
// that of the same moment if there is one, which may be the lock.
func (l *RedisLocker) leave(r *request) (out outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.place == nil {
		return <-r.out
	}
	// Its time is over because others were in the way, or because Redis did
	// not answer.
	q, wasHead := r.queue, r.queue.head() == r
	switch e := q.entry; {
	case !r.info.Contended:
		out = outcome{err: ErrBackend, cause: errNoAnswer}
	case e != nil && e.silence() != nil:
		out = outcome{err: ErrBackend, cause: e.silence()}
	default:
		out = outcome{err: ErrWaitTimeout}
	}
	r.info.RetryAfter = l.retryHint(q)
	l.take(r)
	if e := q.entry; wasHead && e != nil && e.life != held {
		// The entry may go on for the next in line: nothing has been sent
		// that would end it. But its terms are fixed.
		if next := q.head(); next == nil || !e.serves(next) {
			l.retire(e)
			l.advance(q)
		}
	}
	l.tidy(q)
	return out
}

// refuse sends a request in line away. The caller holds mu.
func (l *RedisLocker) refuse(r *request, err, cause error) {
	r.info.RetryAfter = l.retryHint(r.queue)
	l.take(r)
	r.out <- outcome{err: err, cause: cause}
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
	if q.entry == nil && q.line.Len() > 0 {
		l.ask(q)
	}
	l.tidy(q)
}

// ask puts a new entry in place for the head of the line and sends it off. The
// caller holds mu.
func (l *RedisLocker) ask(q *queue) { l.send(l.newEntry(q)) }

// holderOf describes the owner of a lease, as far as its metadata tells.
func holderOf(owner remote.Entry) *Holder { return decodeHolder(owner.Meta()) }
