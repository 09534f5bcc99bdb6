package core

import (
	"math/rand/v2"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/engine"
)

// Bounds of the hint, before its jitter.
const (
	minRetryHint = 10 * time.Millisecond
	maxRetryHint = 30 * time.Second
	// firstGuess and maxGuess bound it where it is no more than a guess: nothing is
	// known of the holder but its age. The first is a second at most, with jitter.
	firstGuess = 2 * time.Second / 3
	maxGuess   = 4 * time.Second
	// downRetryHint is for those who are refused because Redis is down: it is
	// probed as often as that.
	downRetryHint = time.Second
)

// retryHint is when r, which q refuses, might come again: see obstacle. With
// [ErrBackend] it is when Redis will have been asked again, whoever holds the lock;
// so it is if more is asked than goes out, which is the cause of an [ErrQueueFull]
// that has one. Zero with [ErrClosed]. The caller holds mu.
func (l *RedisLocker) retryHint(r *request, in *engine.Obstacle, refusal, cause error, now time.Time) time.Duration {
	switch {
	case refusal == ErrBackend || refusal == ErrQueueFull && cause != nil:
		return jitter(downRetryHint)
	case refusal == ErrClosed:
		return 0
	}
	name, o := r.settings.Name, obstacle{ahead: in.Ahead, bound: maxRetryHint}
	if k, ok := in.Holder.(*lock); ok {
		name, o.age = k.name, in.Age
		if in.Ending {
			o.bound = in.Bound
		}
	} else if in.Remote {
		o.age = l.history.ageOfOwner(r.Key, now)
		if in.Bound >= 0 { // negative if it has no expiry
			o.bound = max(in.Bound, maxGuess)
		}
	}
	o.usual = l.history.holdsOf(r.Key, name)
	d := o.lasts()
	// Later only: most holders are to be done when they come back.
	return d + rand.N(d/2)
}

// obstacle is what a refused request would have had to wait for.
type obstacle struct {
	age   time.Duration // for how long the holder has held, as far as it was seen
	usual holdTimes     // of its kind; zero if none has been seen
	ahead int           // requests that would have come first, beside the holder
	// bound is when the lease expires, if nobody renews it. A holder that lives does:
	// its time to live says nothing of how long it will hold.
	bound time.Duration
}

// lasts is for how long it will be in the way: until the holder, and those ahead,
// have held the lock for as long as is usual. A holder of which nothing is known, or
// which is over its time already, may take as long again as it has taken; twice
// that is allowed for, so that a few attempts, each later than the last, outlast it.
func (o *obstacle) lasts() time.Duration {
	guess := min(max(2*o.age, firstGuess), maxGuess)
	ahead := time.Duration(o.ahead)
	var d time.Duration
	switch left := o.usual.most() - o.age; {
	case o.usual == holdTimes{}:
		d = min(guess+ahead*o.age, maxGuess)
	case left <= 0:
		d = guess + ahead*o.usual.mean
	default:
		d = left + ahead*o.usual.mean
	}
	return max(min(d, o.bound, maxRetryHint), minRetryHint)
}

// jitter is d, give or take a quarter.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)/2*float64(d))
}
