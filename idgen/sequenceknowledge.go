package idgen

import (
	"math"
	"time"
)

// span is a range of numbers, both ends included.
type span struct{ first, last int64 }

// knowledge is what a generator knows of the counter in Redis.
type knowledge struct {
	seen  int64     // the highest number known to be given out
	heard time.Time // when Redis last gave an answer that agrees with that
	// moved is where a range that was refused has left the counter, or unmoved.
	// Standing there is no sign that anybody has mended it.
	moved int64
}

const unmoved = math.MinInt64

// doubtful tells whether the counter should be looked at before it is moved.
func (k *knowledge) doubtful(now time.Time) bool {
	return (k.seen > 0 || k.moved != unmoved) && now.Sub(k.heard) > freshAnswer
}

// doubt says that the counter may have been lost.
func (k *knowledge) doubt() { k.heard = time.Time{} }

// belies tells whether a counter that stands there must have been lost.
func (k *knowledge) belies(stands int64) bool { return stands < k.seen || stands == k.moved }

// learn takes note of a range that Redis has given. It reports false if the range
// cannot be good.
func (k *knowledge) learn(got span, now time.Time) bool {
	if got.first <= k.seen {
		k.moved = got.last
		return false
	}
	k.seen, k.heard, k.moved = got.last, now, unmoved
	return true
}

// usedUp tells that there is no number left.
func (k *knowledge) usedUp() bool { return k.seen == maxNumber }
