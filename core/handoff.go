package core

import (
	"fmt"
	"time"
)

const (
	defaultTenure = 10 * time.Millisecond
	// MaxTenure is the longest [Tenure].
	MaxTenure = time.Minute

	// handoffProof is the longest since the lease was last proven that it is passed
	// on without asking Redis, if that answers: it may have lost its data since, and
	// then others hold the key under higher tokens. While a lease is passed on, it is
	// renewed proofRenewal after it was proven.
	handoffProof = time.Second
	proofRenewal = handoffProof / 3
)

// Tenure sets for how long one process may pass a lock on among its own
// requests, without a round trip to Redis, while another process waits for it;
// the default is 10 ms, the longest [MaxTenure]. It is the price of a handoff
// between processes that is shared by more requests the longer it is, and what a
// request in another process may have to wait beyond its place in line.
//
// Inside a process the order is always first come, first served. A tenure ends
// at a release: no holder is hurried. While no other process waits it has no
// end. Tenure(0) turns it off: each release goes to Redis, and processes take
// turns, one request each.
func Tenure(d time.Duration) Option {
	return lockerOption(func(l *lockerOptions) { l.tenure = d })
}

func checkTenure(d time.Duration) error {
	if d < 0 || d > MaxTenure {
		return fmt.Errorf("%w: Tenure %v is not between 0 and %v", ErrOption, d, MaxTenure)
	}
	return nil
}

// nextLocal is the request that the lease of k can be passed on to without a
// word to Redis, nil if it must be given back. The caller holds mu; k is being
// released.
func (l *RedisLocker) nextLocal(k *lock, now time.Time) *request {
	e := k.entry
	next := e.queue.head()
	switch {
	case next == nil, l.tenureOver(e, now), l.closed,
		e.queue.entry != e, e.lost, e.ending(),
		e.tokens.left() == 0,
		// Its own terms; and whoever gets the lock is to have it for a while.
		next.settings.TTL != e.ttl, e.valid.Remaining(now) < e.ttl/3,
		now.Sub(e.valid.From()) > handoffProof && l.backend.Down(e.queue.names) == nil:
		return nil
	}
	return next
}

// tenureOver reports whether the tenure has ended: then the next release goes to Redis. The
// caller holds mu.
func (l *RedisLocker) tenureOver(e *entry, now time.Time) bool {
	return l.tenure == 0 || e.others && now.Sub(e.begun) >= l.tenure
}

// assign makes r, the first in line, the holder of a lease. from is who held the
// lock before. The caller holds mu.
func (l *RedisLocker) assign(e *entry, r *request, handoff Handoff, from *Holder, now time.Time) {
	k := &lock{
		locker: l, entry: e, key: r.key, name: r.settings.Name, token: e.tokens.take(), info: r.info,
		meta: l.shared(&r.settings.Meta, e.meta), since: now, asked: r.settings.Wait,
	}
	k.info.Handoff, k.info.Predecessor = handoff, from
	k.info.Waited, k.info.LeaseTTL = now.Sub(r.start), e.ttl
	e.lock = k
	e.served++
	l.limitHold(e, r.settings.MaxHold, now)
	l.removeFromLine(r)
	r.settle(outcome{lock: k})
}
