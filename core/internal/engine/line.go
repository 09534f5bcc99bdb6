package engine

import "time"

// Line is the local side of one key: this process's requests for it, in the
// order of their arrival. Only one of them, the head, is in Redis, through the
// line's entry; thousands of local waiters cost Redis no more than one.
type Line struct {
	Key          string
	Subscription *Subscription // that hears about it
	Data         any           // the driver's

	requests list
	// entry stands in Redis for the head of the line, or is the lease of the
	// present holder. It is nil while nobody asks, and is never retired: what
	// is given up is taken out at once.
	entry *Entry
	// served is how many holders the last lease had, one after another.
	served int
}

// Request is one call for a lock. Its exported fields up to Data are set by who makes
// it, those after it by the machine.
type Request struct {
	Key                string
	Start              time.Time
	TTL, Wait, MaxHold time.Duration
	MaxWaiters         int
	Meta               any  // its metadata: two that are equal are the same
	Observed           bool // wants to be told that it is in line
	Data               any

	Contended bool // it had to wait
	Behind    bool // it got in line behind another of this process
	Notified  bool // it was told that it is in line behind another process
	Limited   bool // its alarm was set
	Position  int  // in line, over all processes, when it came
	Blocker   any  // who held the lock when it came

	line       *Line // nil when not in line
	prev, next *Request
}

func (r *Request) String() string {
	if s, ok := r.Data.(string); ok {
		return s
	}
	return "a request for " + r.Key
}

// waits tells whether r gets in line behind another.
func (r *Request) waits() bool { return r.Wait > 0 && r.MaxWaiters > 0 }

// refusal is why a request that does not wait goes away from a held key.
func (r *Request) refusal() Refusal {
	if r.Wait == 0 {
		return Held
	}
	return QueueFull // MaxWaiters(0)
}

// list is a list of requests in the order of their arrival. They are linked
// themselves: a waiter is to cost little memory.
type list struct {
	first, last *Request
	length      int
}

func (n *list) push(r *Request) {
	if r.prev = n.last; r.prev != nil {
		r.prev.next = r
	} else {
		n.first = r
	}
	n.last = r
	n.length++
}

func (n *list) remove(r *Request) {
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

func (q *Line) head() *Request { return q.requests.first }

// onJoin puts r in the line of its key, or says why not.
func (m *Machine) onJoin(r *Request, now time.Time) {
	if m.closed {
		m.do(Effect{Kind: Refuse, Request: r, Refusal: Closed})
		return
	}
	q := m.lines[r.Key]
	if q == nil {
		q = m.world.NewLine(r.Key)
	}
	ahead := q.requests.length
	r.Behind = ahead > 0 || q.entry != nil
	if r.Behind {
		m.describe(r, q)
	}
	if refusal, cause := m.admit(r, q, now); refusal != NotRefused {
		r.Behind = false
		m.do(Effect{Kind: Refuse, Request: r, Refusal: refusal, Cause: cause, Obstacle: m.obstacle(r, q, now)})
		return
	}
	if r.Behind {
		// Whoever is behind another here will be queued by its release, and
		// must then be able to hear of the grant.
		m.subscribe(q.Subscription, now)
	}
	m.lines[r.Key] = q
	r.line = q
	q.requests.push(r)
	m.requests++
	q.Subscription.requests++
	// Redis's answer, or that there is none, mostly comes before the longest
	// wait can be over; then no alarm is needed.
	if r.Behind || r.Wait > 0 && r.Wait < m.Silence {
		m.limitWait(r)
	}
	if q.entry != nil {
		m.reserveTokens(q.entry, r.Start)
	} else {
		m.askForHead(q, now)
	}
}

// admit says why r cannot get in line, if so.
func (m *Machine) admit(r *Request, q *Line, now time.Time) (Refusal, error) {
	switch {
	case r.Behind && r.Wait == 0:
		if e := q.entry; e != nil && e.state != held {
			if refusal, cause := m.silence(e, now); refusal != NotRefused {
				return refusal, cause // nobody is known to hold it
			}
		}
		return Held, nil
	case r.Behind:
		if q.requests.length >= r.MaxWaiters || m.requests >= m.MaxRequests {
			return QueueFull, nil
		}
		return NotRefused, nil
	}
	if down := m.world.Down(q); down != nil {
		return Backend, down
	}
	if m.requests >= m.MaxRequests {
		return QueueFull, ErrManyWait
	}
	return NotRefused, nil
}

// limitWait has r leave the line when its longest wait is over.
func (m *Machine) limitWait(r *Request) {
	if !r.Limited && r.Wait > 0 {
		r.Limited = true
		m.do(Effect{Kind: SetAlarm, Alarm: Patience, Request: r, At: r.Start.Add(r.Wait)})
	}
}

// describe fills in what r can know of who is before it.
func (m *Machine) describe(r *Request, q *Line) {
	r.Contended, r.Position = true, q.requests.length+1
	switch e := q.entry; {
	case e == nil:
	case e.state == held:
		r.Blocker = e.Holder
	case e.wait != nil:
		r.Blocker = e.wait.owner
		r.Position += max(0, e.wait.position-1)
	}
}

// obstacle describes what is in r's way.
func (m *Machine) obstacle(r *Request, q *Line, now time.Time) *Obstacle {
	m.obstacles = append(m.obstacles, Obstacle{Ahead: q.requests.length})
	o := &m.obstacles[len(m.obstacles)-1]
	if r.line == q {
		o.Ahead-- // r itself
	}
	switch e := q.entry; {
	case e == nil:
	case e.state == held:
		o.Holder, o.Age = e.Holder, now.Sub(e.since)
		if o.Ending = e.ending(); o.Ending {
			o.Bound = e.valid.Remaining(now)
		}
	case e.wait != nil:
		o.Remote, o.Bound = true, e.wait.ownerTTL
		o.Ahead += max(0, e.wait.position-1)
	}
	return o
}

// removeFromLine removes r from its line, and the line if nothing is left of it.
func (m *Machine) removeFromLine(r *Request) {
	q := r.line
	q.requests.remove(r)
	r.line = nil
	m.requests--
	q.Subscription.requests--
	m.forgetIfIdle(q)
}

// forgetIfIdle forgets a line that has neither requests nor an entry.
func (m *Machine) forgetIfIdle(q *Line) {
	if q.requests.length == 0 && q.entry == nil && m.lines[q.Key] == q {
		delete(m.lines, q.Key)
	}
}

// onLeave has a request go away, in time or because its context has ended, unless
// its outcome is there already.
func (m *Machine) onLeave(r *Request, now time.Time) {
	if r.line == nil {
		return
	}
	// Its time is over because others were in the way, or because Redis did
	// not answer.
	q, wasHead := r.line, r.line.head() == r
	e := q.entry
	refusal, cause := TimedOut, error(nil)
	if e != nil {
		if s, why := m.silence(e, now); s != NotRefused {
			refusal, cause = s, why
		}
	}
	if !r.Contended && cause == nil {
		refusal, cause = Backend, ErrNoAnswer
		if e != nil && m.crowded(e, r.Start, now) {
			refusal, cause = QueueFull, ErrNotSent
		}
	}
	m.refuse(r, refusal, cause, now)
	if e := q.entry; wasHead && e != nil && e.state != held {
		// The entry may go on for the next in line: nothing has been sent
		// that would end it. But its terms are fixed.
		if next := q.head(); next == nil || !e.serves(next) {
			m.retire(e, now)
			m.advance(q, now)
		}
	}
	m.forgetIfIdle(q)
}

// refuse sends a request in line away.
func (m *Machine) refuse(r *Request, why Refusal, cause error, now time.Time) {
	o := m.obstacle(r, r.line, now)
	m.removeFromLine(r)
	m.do(Effect{Kind: Refuse, Request: r, Refusal: why, Cause: cause, Obstacle: o})
}

// refuseAll sends everybody in line away.
func (m *Machine) refuseAll(q *Line, why Refusal, cause error, now time.Time) {
	for r := q.head(); r != nil; r = q.head() {
		m.refuse(r, why, cause, now)
	}
}

// advance asks on behalf of the next in line, if there is one and nobody
// stands in Redis yet.
func (m *Machine) advance(q *Line, now time.Time) {
	if q.entry == nil && q.requests.length > 0 {
		m.askForHead(q, now)
	}
	m.forgetIfIdle(q)
}

// askForHead puts a new entry in place for the head of the line and sends it off.
func (m *Machine) askForHead(q *Line, now time.Time) { m.send(m.newEntry(q), now) }

// notify has r, the head of its line, told that it has to wait for another process.
func (m *Machine) notify(r *Request) {
	if r.Observed && !r.Behind && !r.Notified {
		r.Notified = true
		m.do(Effect{Kind: Notify, Request: r})
	}
}
