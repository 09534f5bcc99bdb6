package core

import (
	"cmp"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

const (
	// maxPollInterval bounds how long a lost message can cost. It must be
	// well under the queue's own time to live in script/prelude.lua.
	maxPollInterval = 5 * time.Second
	// minPollInterval keeps the polls of a lease that is about to expire apart.
	minPollInterval = 2 * time.Millisecond
	// pollStagger spreads the polls of those in line: the first is at the
	// lease's expiry, and grants to whoever is at the head.
	pollStagger = 5 * time.Millisecond

	minPollPause = 50 * time.Millisecond
	maxPollPause = time.Second

	// Between polls of an entry that has no place in line, because no subscription
	// would tell it of a grant: it gets the lock when it happens to find it free.
	minUnheardPause = 20 * time.Millisecond
	maxUnheardPause = 250 * time.Millisecond
	// perUnheardKey makes the pause longer where there are many keys: 2,000 polls a
	// second for all of them.
	perUnheardKey = 500 * time.Microsecond
)

// setPoll has e looked at again at the given time. The caller holds mu.
func (l *RedisLocker) setPoll(e *entry, at time.Time) {
	l.background.Set(&e.alarm, at, e)
}

// pollLater plans the next poll from the answer to the last: when the lease
// that is in the way would expire, but no later than a third of our own TTL,
// because a grant's validity may count from the last answer. The caller holds
// mu.
func (l *RedisLocker) pollLater(e *entry, r backend.Reply) {
	in := e.ttl / 3
	if r.TTL >= 0 { // a key without expiry is not ours, and may stay
		// The server rounds down; one more millisecond, and it has expired.
		in = min(in, r.TTL+time.Millisecond+time.Duration(max(0, r.Position-1))*pollStagger)
	}
	l.setPoll(e, time.Now().Add(max(minPollInterval, min(in, maxPollInterval))))
}

// pollOutOfLine plans the next poll of an entry that has no place in line. The caller
// holds mu.
func (l *RedisLocker) pollOutOfLine(e *entry, r backend.Reply) {
	w := e.ensureQueueInfo()
	w.pollPause = min(max(minUnheardPause, 2*w.pollPause), maxUnheardPause)
	in := jitter(max(w.pollPause, time.Duration(len(l.queues))*perUnheardKey))
	if r.TTL >= 0 && len(l.queues) == 1 {
		in = min(in, r.TTL+time.Millisecond)
	}
	l.setPoll(e, time.Now().Add(max(minPollInterval, min(in, maxPollInterval, e.ttl/3))))
}

// pollAfterError plans the next poll after one that failed. The caller holds
// mu.
func (l *RedisLocker) pollAfterError(e *entry) {
	w := e.ensureQueueInfo()
	w.pollPause = min(max(minPollPause, 2*w.pollPause), maxPollPause)
	at := time.Now().Add(w.pollPause)
	if end := e.unanswered.Add(l.silence); !e.unanswered.IsZero() && end.Before(at) {
		at = end
	}
	l.setPoll(e, at)
}

// poll asks for an entry that has not heard for long enough, or gives up if
// Redis has not answered for too long. The caller holds mu; e is asking or
// waiting.
func (l *RedisLocker) poll(e *entry) {
	now := time.Now()
	switch {
	case !e.unanswered.IsZero() && now.Sub(e.unanswered) >= l.silence:
		// What has waited in the process has had less time to be answered.
		if left, ok := l.sentAt(e); ok && now.Sub(left) < l.silence && l.backend.Down(e.queue.names) == nil {
			l.setPoll(e, left.Add(l.silence))
			return
		}
		l.failAll(e, cmp.Or(e.fault, l.noAnswer(e.queue)))
	case e.inFlight == 0:
		l.send(e)
	default:
		// What is under way was asked before the last answer, and hangs.
		if e.unanswered.IsZero() {
			e.unanswered = now
		}
		l.setPoll(e, e.unanswered.Add(l.silence))
	}
}

// sentAt returns when the first question for e has left the process, false if it has
// not or is answered. The caller holds mu.
func (l *RedisLocker) sentAt(e *entry) (time.Time, bool) {
	if e.firstCall == nil {
		return time.Time{}, false
	}
	return l.backend.SentAt(e.firstCall)
}
