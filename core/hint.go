package core

import (
	"math/rand/v2"
	"time"
)

// holdTimes follows how long locks are held, as a moving average over the last
// few.
type holdTimes struct{ average time.Duration }

func (h *holdTimes) observe(d time.Duration) {
	if h.average == 0 {
		h.average = d
		return
	}
	h.average += (d - h.average) / 8
}

// Bounds of the hint, before its jitter.
const (
	minRetryHint = 10 * time.Millisecond
	maxRetryHint = 30 * time.Second
	// downRetryHint is for those who are refused because Redis is down: it is
	// probed as often as that.
	downRetryHint = time.Second
)

// retryHint is when one who is refused might come again: after the holder and
// those known to be in line have held the lock for as long as is usual here, or,
// if no hold has been seen yet, when the lease in the way would expire. Give or
// take a quarter, so that those who were refused together do not come back
// together. Zero if there is nothing to go by. With [ErrBackend] it is when Redis
// will have been asked again, whoever holds the lock; so it is if more is asked than
// goes out, which is the cause of an [ErrQueueFull] that has one. The caller holds mu.
func (l *RedisLocker) retryHint(q *queue, refusal, cause error) time.Duration {
	if refusal == ErrBackend || refusal == ErrQueueFull && cause != nil {
		return jitter(downRetryHint)
	}
	hint := l.holds.average * time.Duration(1+q.line.length)
	if e := q.entry; e != nil {
		w := e.waited
		if w == nil {
			w = &waited{}
		}
		hint += l.holds.average * time.Duration(max(0, w.position-1))
		switch {
		case hint != 0:
		case e.life == held:
			hint = e.valid.Remaining(time.Now())
		default:
			hint = max(0, w.ownerTTL) // negative if it has no expiry
		}
	}
	if hint == 0 {
		return 0
	}
	return jitter(min(max(hint, minRetryHint), maxRetryHint))
}

// jitter is d, give or take a quarter.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)/2*float64(d))
}
