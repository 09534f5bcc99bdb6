package engine

import "time"

// Closed reports whether nobody is served any more.
func (m *Machine) Closed() bool { return m.closed }

// Requests is how many wait, over all keys; Holders, how many hold a lock.
func (m *Machine) Requests() int { return m.requests }

// Holders is how many leases are held.
func (m *Machine) Holders() int { return m.holders }

// Size is how many lines, entries, requests and holders m has: zero if it is idle.
func (m *Machine) Size() int { return len(m.lines) + len(m.entries) + m.requests + m.holders }

// Entries calls yield for each entry that is not retired, or is being released, in no
// order.
func (m *Machine) Entries(yield func(*Entry) bool) {
	for _, e := range m.entries {
		if !yield(e) {
			return
		}
	}
}

// Held reports whether e is a lease, or was one until it was lost, and its holder is
// not done.
func (e *Entry) Held() bool { return e.state == held }

// Stands reports whether e stands in Redis for its line.
func (e *Entry) Stands() bool { return e.line.entry == e }

// Lines calls yield for each line in which somebody waits, in no order.
func (m *Machine) Lines(yield func(*Line) bool) {
	for _, q := range m.lines {
		if q.requests.length > 0 && !yield(q) {
			return
		}
	}
}

// Remaining is for how long e is still proven to be ours; zero once it is lost.
func (e *Entry) Remaining(now time.Time) time.Duration {
	if e.lost || e.state != held {
		return 0
	}
	return e.valid.Remaining(now)
}

// Stopped is why e's holder was told to stop, nil if it was not.
func (e *Entry) Stopped() error {
	switch {
	case e.broken:
		return ErrBroken
	case e.overdue:
		return ErrMaxHold
	case e.lost:
		return ErrLost
	}
	return nil
}

// Others reports whether another process waits for e's lease, or did.
func (e *Entry) Others() bool { return e.others }

// Waiting is how many requests stand in e's line, zero if that goes on without e.
func (e *Entry) Waiting() int {
	if !e.Stands() {
		return 0
	}
	return e.line.requests.length
}

// LineView is a line in which somebody waits, as it looks at a moment.
type LineView struct {
	Key      string
	Requests int
	Since    time.Time // when the first of them came
	Blocker  any       // who is in the way
	Position int       // in Redis's queue, zero if it is in none, or holds the key itself
	Fault    error     // why nothing is known of that
}

// View describes q.
func (m *Machine) View(q *Line, now time.Time) LineView {
	v := LineView{Key: q.Key, Requests: q.requests.length, Since: q.head().Start}
	switch e := q.entry; {
	case e == nil:
	case e.state == held:
		v.Blocker = e.Holder
	default:
		if e.wait != nil {
			v.Blocker = e.wait.owner
		}
		if e.state == queued {
			v.Position = e.wait.position
		}
		_, v.Fault = m.silence(e, now)
	}
	return v
}

// Active reports whether s is confirmed; Open, whether it is to be.
func (s *Subscription) Active() bool { return s.active }

// Open reports whether s is to be open.
func (s *Subscription) Open() bool { return s.open }
