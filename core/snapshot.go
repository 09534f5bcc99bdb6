package core

import (
	"cmp"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/engine"
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
		Holding: make([]Holding, 0, l.machine.Holders()), Waiting: make([]Waiting, 0),
		Requests: l.machine.Requests(), Subscribed: l.allSubscribed(), Closed: l.machine.Closed(),
	}
	for e := range l.machine.Entries {
		if e.Held() {
			s.Holding = append(s.Holding, e.Data.(*entry).holding(now))
		}
	}
	for q := range l.machine.Lines {
		s.Waiting = append(s.Waiting, l.waiting(l.machine.View(q, now)))
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
		if r.Open() && !r.Active() {
			return false
		}
		open = open || r.Open()
	}
	return open
}

// holding describes e's holder. The caller holds RedisLocker.mu; e is held.
func (e *entry) holding(now time.Time) Holding {
	k := e.lock
	h := Holding{
		Key: k.key, Lease: string(e.wire.ID()), Token: k.token, Holder: k.holder(), Others: e.Others(),
		Waiting: e.Waiting(), Remaining: e.Remaining(now),
	}
	if why := e.Stopped(); why != nil {
		h.Stopped = ErrorType(e.locker.holderCause(why))
	}
	return h
}

// waiting describes a line. The caller holds RedisLocker.mu.
func (l *RedisLocker) waiting(v engine.LineView) Waiting {
	w := Waiting{Key: v.Key, Requests: v.Requests, Since: v.Since, Blocker: holderIn(v.Blocker), Position: v.Position}
	if v.Fault != nil {
		w.Fault = l.refusalCause(v.Fault, v.Key).Error()
	}
	return w
}
