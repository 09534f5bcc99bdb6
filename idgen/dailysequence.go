package idgen

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DailySequence makes IDs of 31 bits of seconds since an epoch and a
// 32-bit counter that starts again each day: the classical "timestamp and daily
// counter" ID of flash-sale systems. The counter lives in Redis and is taken
// from there in segments, the next one ahead of time, so that a fetch from Redis
// serves many IDs and callers seldom wait for one.
//
// # Why IDs are unique
//
// An ID is a pair (second, counter value), and is only ever made of a second s
// and a value of the counter of the day that s is in.
//
//  1. A second is in exactly one day, in all processes alike: days are half-open
//     intervals that lie end to end, and processes whose days differ (another
//     zone, other time zone data) or whose epochs do are refused by
//     [ErrLayoutMismatch].
//  2. A value of a day's counter is given out once: INCRBY is atomic, a range it
//     returned belongs to one generator, and that uses each value once.
//
// So of two IDs with the same second both took their value from the same counter
// (1), hence different values (2). Nothing was said about clocks: processes on
// different sides of midnight, or one whose clock is set back over midnight, use
// different counters, but never for the same second. (The classical recipe reads
// the clock twice, once for the second and once for the counter's key. Around
// midnight it pairs a second with the counter of another day.)
//
// The time part of one generator never goes backwards. When the clock is set
// back, the generator stays at the last second it has used until the clock has
// caught up. Therefore the IDs of one generator rise strictly; those of several
// are ordered by the second.
//
// # What it takes
//
// Two things in Redis could break step 2.
//
// A day's counter must live as long as anyone can ask for it. It expires seven
// days after its day, by the clock of Redis, and a range is refused with
// [ErrClock] if that clock is more than one day away from the counter's day.
//
// And Redis must not lose it, by a crash, a failover or an eviction. A generator
// refuses a range at or below what it has seen of the day with
// [ErrSequenceRegressed], once, and then lifts the counter above that: since the
// second is a part of the ID, values that come again do no harm in later
// seconds. This detects the loss in each process that had numbers of that day.
// It is not detected by one that starts, or first asks on that day, after the
// loss, and before others have lifted the counter. Such a process makes a
// duplicate only if it uses a value in the same second of its clock in which the
// value was used before the loss: Redis must lose data and be back within a
// second (or as much as the clocks of the processes differ). Where that can
// happen, keep the data (appendonly, noeviction), or let a unique index refuse
// the duplicate.
//
// A DailySequence is safe for concurrent use. Close it when done.
type DailySequence struct {
	options dailyOptions
	rdb     DailyRedis
	epoch   int64 // seconds since 1970

	fetches
	tripDay day // what the fetch under way is for

	last    int64      // the second of the last ID
	today   dayPart    // the day of the last ID
	current segment    // of today; what IDs are made of
	ahead   daySegment // of today, or of a later day of which no ID was made yet
	size    segmentSize
	quiet   int64 // no fetch ahead of time before this second
	unheard error // a loss that was noticed ahead of time: the next caller to need a fetch is told
}

var _ Generator[ID] = (*DailySequence)(nil)

// dayPart is what a generator knows of the counter of the day it is in.
type dayPart struct {
	day
	seen    uint64    // the highest value that Redis returned
	lift    int64     // how much the counter is behind seen, after a loss
	used    bool      // up: the counter has passed its 32 bits
	fetched time.Time // when the last segment was asked for
	asked   int64     // and how large it was
}

// daySegment is a segment of a day's counter.
type daySegment struct {
	segment
	day day
}

// NewDailySequence returns a generator of IDs that are unique among all that
// have this name on this Redis. [Epoch] must be given. It does not talk to Redis
// yet. The error matches [ErrOption] and lists everything that is wrong.
//
// The name is 1 to 64 of the characters A-Z a-z 0-9 . _ ~ -. Keys in Redis are
// <prefix>:daily:{<name>}:…, in one hash slot; at most about 25 of them exist at
// any time, all with an expiry. A Redis user needs the commands INCRBY,
// EXPIREAT, TIME, SET and GET for them (and INFO for [DailySequence.Check]). A
// *redis.Ring is refused: when a server fails, it moves keys to another one,
// where they begin anew.
func NewDailySequence(rdb DailyRedis, name string, opts ...DailyOption) (*DailySequence, error) {
	o, err := newDailyOptions(name, opts)
	if err := errors.Join(checkClient(rdb), err); err != nil {
		return nil, err
	}
	return &DailySequence{
		options: o,
		rdb:     rdb,
		epoch:   o.epoch.Unix(),
		size:    segmentSize{step: o.min, min: o.min, max: o.max},
		fetches: newFetches(),
	}, nil
}

// Next returns a new ID. If it must wait for Redis it returns when ctx ends,
// even if Redis hangs; without a deadline in ctx, the client's own timeouts are
// the bound. Its error matches ctx's own, [ErrBackend], [ErrClock],
// [ErrTimeExhausted], [ErrSequenceExhausted] (until the day ends),
// [ErrSequenceRegressed], [ErrLayoutMismatch] or [ErrClosed]. After any but the
// last, a later call may succeed.
func (q *DailySequence) Next(ctx context.Context) (ID, error) {
	var one [1]ID
	_, err := q.NextN(ctx, one[:])
	return one[0], err
}

// NextN fills dst with new IDs in ascending order, in at most one fetch from Redis
// unless other callers take what it brings. It fails as [DailySequence.Next]
// does, and returns how many IDs it has made: they are good.
func (q *DailySequence) NextN(ctx context.Context, dst []ID) (int, error) {
	n := 0
	var waited need
	for {
		made, need, err := q.take(ctx, dst[n:], waited)
		n += made
		if err != nil || n == len(dst) {
			return n, err
		}
		if err := q.await(ctx, need); err != nil {
			return n, err
		}
		waited = need
	}
}

// take makes as many IDs as it can without waiting. If they are fewer than
// len(dst), it returns what to wait for, or an error.
func (q *DailySequence) take(ctx context.Context, dst []ID, waited need) (made int, _ need, _ error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.met(waited)
	if q.closed {
		return 0, need{}, ErrClosed
	}
	if len(dst) == 0 {
		return 0, need{}, nil
	}
	// The clock is read once. The second decides on the day.
	now := q.options.now()
	second := max(now.Unix(), q.last)
	switch since := second - q.epoch; {
	case since < 0:
		return 0, need{}, fmt.Errorf("%w: %v is before the epoch", ErrClock, now)
	case since > maxSeconds:
		return 0, need{}, fmt.Errorf("%w: %d s", ErrTimeExhausted, since)
	}
	if !q.today.contains(second) && q.ahead.day.contains(second) {
		q.begin(now)
	}
	want := q.today.day
	if !want.contains(second) {
		want = dayOf(second, q.options.zone)
	} else {
		for made < len(dst) {
			if q.current.left() == 0 {
				if q.ahead.left() == 0 || q.ahead.day != want {
					break
				}
				q.current, q.ahead = q.ahead.segment, daySegment{}
			}
			dst[made] = ID((second-q.epoch)<<counterBits | int64(q.current.next))
			q.current.next++
			made++
		}
		if made > 0 {
			q.last = second
		}
		if made == len(dst) {
			q.fetchAhead(ctx, now, second)
			return made, need{}, nil
		}
	}

	if q.unheard != nil {
		err := q.unheard
		q.unheard = nil
		return made, need{}, err
	}
	if want == q.today.day && q.today.used {
		return made, need{}, fmt.Errorf("%w: %s", ErrSequenceExhausted, want.name)
	}
	count := int64(len(dst) - made)
	if q.inFlight == nil {
		q.fetchDay(ctx, want, now, q.demand+count)
	}
	return made, q.enlist(count, q.tripDay != want), nil
}

// begin makes the day of the segment ahead today. What is left of the old day
// is never used. It happens only when an ID of the new day is made, so that a
// clock that ran ahead for a moment costs nothing.
func (q *DailySequence) begin(now time.Time) {
	q.today = dayPart{day: q.ahead.day, seen: q.ahead.end - 1, used: q.ahead.end > maxCounter, fetched: now, asked: int64(q.ahead.size)}
	q.current, q.ahead = q.ahead.segment, daySegment{}
	q.unheard = nil // about the counter of another day
}

// fetchAhead asks for the next segment when half of the current one is gone.
func (q *DailySequence) fetchAhead(ctx context.Context, now time.Time, second int64) {
	ready := q.ahead.day == q.today.day && q.ahead.left() > 0
	if ready || q.current.left() > q.current.size/2 || q.inFlight != nil || q.today.used || second < q.quiet {
		return
	}
	// Callers who have waited may be about to take what is left.
	q.fetchDay(ctx, q.today.day, now, q.demand-int64(q.current.left()))
}

// Close makes all later and all waiting calls fail with [ErrClosed], and frees
// what the generator holds. It does not close the Redis client. Numbers that
// are left over are never used.
//
// It waits up to one second for a call of the client that is under way, and
// returns an error that matches [ErrBackend] if that hangs for longer; the one
// goroutine that is left then ends with the client's own timeouts. Close may be
// called again.
func (q *DailySequence) Close() error { return q.close(func() {}) }
