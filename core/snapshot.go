package core

import (
	"cmp"
	"slices"
	"time"
)

// Snapshot is what one process holds and waits for: for a debug page, or a test. It
// can be marshalled as JSON. Its keys are data from requests, and its holders have
// what [Meta] has: do not show it to strangers, and keep it out of metrics, but for
// its numbers.
type Snapshot struct {
	// Namespace is the [Prefix].
	Namespace string `json:"namespace"`
	// Process is this Locker's name in Redis: see [LeaseInfo.Process].
	Process string    `json:"process"`
	At      time.Time `json:"at"`
	// Holding has the locks that are held, Waiting the keys that are waited for:
	// each in the order of their keys. A key that is held here and waited for here
	// is in both.
	Holding []Holding `json:"holding"`
	Waiting []Waiting `json:"waiting"`
	// Requests is how many requests wait, over all keys.
	Requests int `json:"requests"`
	// Subscribed is set if the process hears of grants for all keys that it waits
	// for. It does not try to before it has to wait for the first time.
	Subscribed bool `json:"subscribed"`
	// Down says why Redis, or one of its nodes, counts as out of reach; "" if it
	// does not.
	Down string `json:"down,omitempty"`
	// Closed is set once Shutdown has begun.
	Closed bool `json:"closed,omitempty"`
}

// Holding is a lock that is held in this process.
type Holding struct {
	Key string `json:"key"`
	// Lease is the ID of the lease: see [LeaseInfo.ID].
	Lease  string  `json:"lease"`
	Token  uint64  `json:"token"`
	Holder *Holder `json:"holder"` // with when it began to hold
	// Remaining is for how long the lease is proven: see [Lock.Remaining].
	Remaining time.Duration `json:"remaining_ns"`
	// Waiting is how many requests of this process are in line behind it; Others
	// is set if, as far as is known, another process is, too.
	Waiting int  `json:"waiting"`
	Others  bool `json:"others"`
	// Stopped says why the holder was told to stop, if it was and has not released
	// the lock yet: "lost", "broken" or "max_hold".
	Stopped string `json:"stopped,omitempty"`
}

// Waiting is this process's line for one key.
type Waiting struct {
	Key string `json:"key"`
	// Requests is how many there are, Since when the first of them came.
	Requests int       `json:"requests"`
	Since    time.Time `json:"since"`
	// Position is the place of this process in Redis's queue, as of the last
	// answer; zero if it is not known to be in it, or holds the key itself.
	Position int `json:"position"`
	// Blocker is who is in the way, nil if that is not known.
	Blocker *Holder `json:"blocker,omitempty"`
	// Fault is why Redis's last answer is missing; "" if it is not.
	Fault string `json:"fault,omitempty"`
}

// Snapshot tells what this process holds and waits for. It asks nobody: it is one
// look at what the Locker knows, under its lock, which takes less than a microsecond
// for each key.
func (l *RedisLocker) Snapshot() Snapshot {
	down := l.backend.Outage()
	now := time.Now()
	l.mu.Lock()
	s := Snapshot{
		Namespace: l.prefix, Process: string(l.process), At: now,
		Holding: make([]Holding, 0, l.holders), Waiting: make([]Waiting, 0, len(l.queues)),
		Requests: l.waiters, Subscribed: l.allSubscribed(), Closed: l.closed,
	}
	for _, e := range l.entries {
		if e.state == held {
			s.Holding = append(s.Holding, e.holding(now))
		}
	}
	for _, q := range l.queues {
		if q.line.length > 0 {
			s.Waiting = append(s.Waiting, q.waiting())
		}
	}
	l.mu.Unlock()
	if down != nil {
		s.Down = down.Error()
	}
	slices.SortFunc(s.Holding, func(a, b Holding) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Token, b.Token))
	})
	slices.SortFunc(s.Waiting, func(a, b Waiting) int { return cmp.Compare(a.Key, b.Key) })
	return s
}

// allSubscribed tells whether there is a subscription, and all that there are to be are
// confirmed. The caller holds mu.
func (l *RedisLocker) allSubscribed() bool {
	open := false
	for _, r := range l.subscriptions {
		if r.open && !r.active {
			return false
		}
		open = open || r.open
	}
	return open
}

// holding describes e's holder. The caller holds RedisLocker.mu; e is held.
func (e *entry) holding(now time.Time) Holding {
	h := Holding{
		Key: e.queue.key, Lease: string(e.wire.ID()), Token: e.lock.token, Holder: e.lock.holder(), Others: e.others,
	}
	if e.queue.entry == e {
		h.Waiting = e.queue.line.length
	}
	switch {
	case e.broken:
		h.Stopped = ErrorType(ErrBroken)
	case e.overdue:
		h.Stopped = ErrorType(ErrMaxHold)
	case e.lost:
		h.Stopped = ErrorType(ErrLost)
	}
	if !e.lost {
		h.Remaining = e.valid.Remaining(now)
	}
	return h
}

// waiting describes q's line, which is not empty. The caller holds RedisLocker.mu.
func (q *queue) waiting() Waiting {
	w := Waiting{Key: q.key, Requests: q.line.length, Since: q.head().start}
	switch e := q.entry; {
	case e == nil: // one will be sent when the last has come back
	case e.state == held:
		w.Blocker = e.lock.holder()
	default:
		if e.queueInfo != nil {
			w.Blocker = e.queueInfo.owner
		}
		if e.state == queued {
			w.Position = e.queueInfo.position
		}
		if _, err := e.silence(); err != nil {
			w.Fault = err.Error()
		}
	}
	return w
}
