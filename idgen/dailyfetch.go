package idgen

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// DailyRedis is what a [DailySequence] needs of a client. Every
// [redis.UniversalClient] has it.
type DailyRedis interface {
	Pipelined(ctx context.Context, fn func(redis.Pipeliner) error) ([]redis.Cmder, error)
}

var _ DailyRedis = redis.UniversalClient(nil)

const (
	// maxSkew is how far the clock of Redis may be from the day of a counter.
	// It says "this clock is broken", and leaves room for a slow one.
	maxSkew = 24 * time.Hour
	// counterGrace is how long a counter outlives its day. It must be well over
	// maxSkew: an expired counter starts again.
	counterGrace = 7 * 24 * time.Hour
	// layoutTTL is how long the record of a day's beginning lives from when it
	// is first written: it must outlive both counters that it stands between.
	layoutTTL = counterGrace + 3*24*time.Hour
)

// fetchDay starts a fetch for a segment of a day. q.mu is held and no other fetch
// is under way. demand is how many numbers callers wait for.
func (q *DailySequence) fetchDay(ctx context.Context, d day, now time.Time, demand int64) {
	known := d == q.today.day
	if known {
		q.size.adapt(q.today.asked, now.Sub(q.today.fetched))
	}
	count := max(q.size.step, demand)
	lift := int64(0)
	if known {
		lift = q.today.lift
		q.today.fetched, q.today.asked = now, count
	}
	q.tripDay = d
	var top int64
	q.start(ctx, func(ctx context.Context) (err error) {
		top, err = q.fetch(ctx, d, count+lift, !known)
		return err
	}, func(err error) error { return q.arrive(d, top, count, err) })
}

// fetch moves the counter of a day by n and returns where it stands then. The
// first time in a day it also compares the layout.
//
// INCRBY is sent as a plain command and not from a script, whose numbers are
// doubles. If the client repeats the call after a lost reply, numbers are left
// out. The commands are a pipeline and not a transaction: when Redis refuses
// MULTI (a user without that right), go-redis 9.23 puts the connection back with
// the other replies unread, and a reply that is taken for another's is a
// duplicate ID. A pipeline reads all of them. Should the connection break right
// behind INCRBY, the next fetch sets the expiry.
func (q *DailySequence) fetch(ctx context.Context, d day, n int64, first bool) (top int64, err error) {
	var (
		counter *redis.IntCmd
		clock   *redis.TimeCmd
		begin   layoutCheck
		end     layoutCheck
	)
	_, err = q.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		key := q.key("counter", d.name)
		counter = p.IncrBy(ctx, key, n)
		p.ExpireAt(ctx, key, time.Unix(d.hi, 0).Add(counterGrace))
		clock = p.Time(ctx)
		if first {
			begin = q.checkLayout(ctx, p, d.name, d.lo)
			end = q.checkLayout(ctx, p, d.next, d.hi)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrBackend, err)
	}
	server := clock.Val()
	if server.Before(time.Unix(d.lo, 0).Add(-maxSkew)) || server.After(time.Unix(d.hi, 0).Add(maxSkew)) {
		return 0, fmt.Errorf("%w: Redis says %v, this process is in the day %s", ErrClock, server.UTC(), d.name)
	}
	if first {
		if err := errors.Join(begin.err(), end.err()); err != nil {
			return 0, err
		}
	}
	return counter.Val(), nil
}

// layoutCheck compares one end of a day with what the first process has
// recorded for it. Both ends are compared: two processes that count one second
// to two neighbouring days disagree about the instant between these.
type layoutCheck struct {
	date, ours string
	theirs     *redis.StringCmd
}

func (q *DailySequence) checkLayout(ctx context.Context, p redis.Pipeliner, date string, begins int64) layoutCheck {
	key := q.key("layout", date)
	c := layoutCheck{date: date, ours: fmt.Sprintf("31.32 epoch=%d begins=%d", q.epoch, begins)}
	p.SetNX(ctx, key, c.ours, layoutTTL)
	c.theirs = p.Get(ctx, key)
	return c
}

func (c layoutCheck) err() error {
	if theirs := c.theirs.Val(); theirs != c.ours {
		return fmt.Errorf("%w: %s: ours is %q, in use is %q", ErrLayoutMismatch, c.date, c.ours, theirs)
	}
	return nil
}

func (q *DailySequence) key(kind, date string) string {
	return q.options.prefix + ":daily:{" + q.options.name + "}:" + kind + ":" + date
}

// arrive judges a fetch, which brought the range of count numbers that ends at top.
func (q *DailySequence) arrive(d day, top, count int64, err error) error {
	if err == nil {
		err = q.accept(d, top, count)
	}
	if err != nil {
		// Callers who need numbers go on asking, and are told. The next fetch
		// ahead of need can wait a second.
		q.quiet = q.last + 1
		if q.inFlight.waiters == 0 && errors.Is(err, ErrSequenceRegressed) {
			q.unheard = err
		}
	}
	return err
}

func (q *DailySequence) accept(d day, top, count int64) error {
	first, seen := top-count+1, int64(0)
	if d == q.today.day {
		seen = int64(q.today.seen)
	}
	if first <= seen {
		if d == q.today.day {
			q.today.lift = max(0, seen-top)
		}
		return fmt.Errorf("%w: %s: got %d to %d after %d", ErrSequenceRegressed, d.name, first, top, seen)
	}
	if d == q.today.day {
		q.today.lift = 0
		q.today.seen = uint64(top)
		q.today.used = top >= maxCounter
	}
	if first > maxCounter {
		return fmt.Errorf("%w: %s", ErrSequenceExhausted, d.name)
	}
	q.ahead = daySegment{newSegment(uint64(first), uint64(min(top, maxCounter))), d}
	return nil
}
