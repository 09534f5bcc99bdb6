package engine

import (
	"cmp"
	"time"
)

const (
	// MaxPollInterval bounds how long a lost message can cost. It must be
	// well under the queue's own time to live in the backend's script.
	MaxPollInterval = 5 * time.Second
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

// pollIn has e asked about again, a while after now.
func (m *Machine) pollIn(e *Entry, in time.Duration, now time.Time) {
	m.setAlarm(e, Next, now.Add(max(minPollInterval, min(in, MaxPollInterval))))
}

// pollLater plans the next poll from the answer to the last: when the lease
// that is in the way would expire, but no later than a third of our own TTL,
// because a grant's validity may count from the last answer.
func (m *Machine) pollLater(e *Entry, r *Reply, now time.Time) {
	in := e.TTL / 3
	if r.TTL >= 0 { // a key without expiry is not ours, and may stay
		// The server rounds down; one more millisecond, and it has expired.
		in = min(in, r.TTL+time.Millisecond+time.Duration(max(0, r.Position-1))*pollStagger)
	}
	m.pollIn(e, in, now)
}

// pollOutOfLine plans the next poll of an entry that has no place in line.
func (m *Machine) pollOutOfLine(e *Entry, r *Reply, now time.Time) {
	w := e.ensureWait()
	w.pollPause = min(max(minUnheardPause, 2*w.pollPause), maxUnheardPause)
	in := m.world.Jitter(max(w.pollPause, time.Duration(len(m.lines))*perUnheardKey))
	if r.TTL >= 0 && len(m.lines) == 1 {
		in = min(in, r.TTL+time.Millisecond)
	}
	m.pollIn(e, min(in, e.TTL/3), now)
}

// pollAfterError plans the next poll after one that failed.
func (m *Machine) pollAfterError(e *Entry, now time.Time) {
	w := e.ensureWait()
	w.pollPause = min(max(minPollPause, 2*w.pollPause), maxPollPause)
	at := now.Add(w.pollPause)
	if end := e.unanswered.Add(m.Silence); !e.unanswered.IsZero() && end.Before(at) {
		at = end
	}
	m.setAlarm(e, Next, at)
}

// poll asks for an entry that has not heard for long enough, or gives up if
// Redis has not answered for too long; e is asking or waiting.
func (m *Machine) poll(e *Entry, now time.Time) {
	switch {
	case !e.unanswered.IsZero() && now.Sub(e.unanswered) >= m.Silence+m.SlowAnswer:
		// The alarm is late: the process stood still, and has perhaps not read yet what
		// came meanwhile.
		e.unanswered = now.Add(m.SlowAnswer - m.Silence)
		m.setAlarm(e, Next, e.unanswered.Add(m.Silence))
	case !e.unanswered.IsZero() && now.Sub(e.unanswered) >= m.Silence:
		// What has waited in the process has had less time to be answered.
		if sent, known := m.world.Sent(e); known && !sent.IsZero() && now.Sub(sent) < m.Silence && m.world.Down(e.line) == nil {
			m.setAlarm(e, Next, sent.Add(m.Silence))
			return
		}
		m.failAll(e, cmp.Or(e.fault, ErrNoAnswer), e.unsent, now)
	case e.inFlight == 0:
		m.send(e, now)
	default:
		// What is under way was asked before the last answer, and hangs.
		if e.unanswered.IsZero() {
			e.unanswered = now
		}
		m.setAlarm(e, Next, e.unanswered.Add(m.Silence))
	}
}
