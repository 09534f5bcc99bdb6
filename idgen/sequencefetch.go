package idgen

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// SequenceRedis is what a [Sequence] needs of a client. Every
// [redis.UniversalClient] has it.
type SequenceRedis interface {
	IncrBy(ctx context.Context, key string, value int64) *redis.IntCmd
}

var _ SequenceRedis = redis.UniversalClient(nil)

const (
	// freshAnswer is how old an answer of Redis may be to count as a proof that
	// the counter is still there.
	freshAnswer = time.Second
	// retryAhead is the least time between a fetch that has failed and the next
	// one ahead of need.
	retryAhead = time.Second
)

// order is what a fetch is to bring, and what it needs to know for that.
type order struct {
	count   int64
	counter knowledge
	look    bool // where the counter stands, before taking
}

// fetch starts a fetch for a segment of count numbers. q.mu is held and no other
// fetch is under way.
func (q *Sequence) fetch(ctx context.Context, now time.Time, count int64) {
	o := order{count: count, counter: q.counter, look: q.counter.doubtful(now)}
	var got span
	q.start(ctx, func(ctx context.Context) (err error) {
		got, err = q.call(ctx, o)
		return err
	}, func(err error) error { return q.arrive(got, err) })
}

// fetchAhead asks for the next segment as soon as the current one is in use: so
// the fetch has all the time that a segment lasts, even if the rate rises
// meanwhile. Asking later would save nothing but half a segment's numbers at the
// end of the process.
func (q *Sequence) fetchAhead(ctx context.Context, now time.Time) {
	if q.spare.left() > 0 || q.inFlight != nil || q.counter.usedUp() || now.Before(q.quiet) {
		return
	}
	// Callers who have waited may be about to take what is at hand.
	short := q.demand - q.piece.Load().left() - int64(q.current.left())
	q.fetch(ctx, now, q.amount(0, short))
}

// amount is how many numbers a fetch should bring for a caller who wants count
// while others, whom the last fetch left empty-handed, want backlog. If there are
// such, callers come faster than fetches: by the end of this one there will be
// more of them, for whom the segment comes on top.
func (q *Sequence) amount(count, backlog int64) int64 {
	if backlog > 0 {
		return q.size.step + count + backlog
	}
	return max(q.size.step, count)
}

// call takes a range from Redis.
//
// INCRBY is sent as a plain command and not from a script, whose numbers are
// doubles. To look at the counter it is INCRBY 0 and not GET, because a cluster
// client may send GET to a replica, and because the right to INCRBY is needed
// anyway.
func (q *Sequence) call(ctx context.Context, o order) (span, error) {
	if o.look {
		stands, err := q.rdb.IncrBy(ctx, q.key, 0).Result()
		if err != nil {
			return span{}, fmt.Errorf("%w: %w", ErrBackend, err)
		}
		if o.counter.belies(stands) {
			what := fmt.Sprintf("stands at %d", stands)
			if stands == o.counter.moved {
				what += ", where a refused range has left it"
			}
			return span{}, q.regressed(what, o.counter)
		}
	}
	for n := o.count; ; {
		top, err := q.rdb.IncrBy(ctx, q.key, n).Result()
		if err == nil {
			return span{top - n + 1, top}, nil
		}
		left, over := q.overflows(ctx, n, err)
		switch {
		case !over:
			return span{}, fmt.Errorf("%w: %w", ErrBackend, err)
		case left == 0:
			return span{}, q.exhausted()
		}
		n = left // less each time
	}
}

// overflows tells whether err is the refusal of Redis to count n beyond 2^63-1,
// and how many numbers are left then. Its text is not looked at: servers differ.
func (q *Sequence) overflows(ctx context.Context, n int64, err error) (left int64, over bool) {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return 0, false
	}
	stands, err := q.rdb.IncrBy(ctx, q.key, 0).Result()
	if err != nil || stands < 0 {
		return 0, false
	}
	left = maxNumber - stands
	return left, left < n
}

// arrive judges a fetch.
func (q *Sequence) arrive(got span, err error) error {
	now := q.options.now()
	if err == nil {
		if !q.counter.learn(got, now) {
			err = q.regressed(fmt.Sprintf("gave %d to %d, which are not used", got.first, got.last), q.counter)
		}
	}
	if err != nil {
		q.counter.doubt()
		q.quiet = now.Add(retryAhead)
		return err
	}
	q.spare = newSegment(uint64(got.first), uint64(got.last))
	return nil
}

// regressed tells an operator what is wrong, and what to do.
func (q *Sequence) regressed(what string, k knowledge) error {
	return fmt.Errorf("%w: the counter %s %s; it has been at %d before, so Redis has lost it. Find the highest number in use, and SET %[2]s to it or above it, but above %[5]d",
		ErrSequenceRegressed, q.key, what, k.seen, max(k.seen, k.moved))
}

func (q *Sequence) exhausted() error {
	return fmt.Errorf("%w: %s", ErrSequenceExhausted, q.key)
}
