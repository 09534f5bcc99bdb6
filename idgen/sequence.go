package idgen

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"
)

// Sequence makes dense numbers, 1, 2, 3 …, that are unique over all processes.
// The counter lives in Redis and is taken from there in segments, the next one
// ahead of time, so that a fetch from Redis serves many numbers and callers seldom
// wait for one: only for the first, and when a segment does not even last for
// a round trip.
//
// # Order and gaps
//
// The numbers of one generator rise strictly, over goroutines, too: an ID whose
// Next began after another's Next had returned is greater. Those of several
// generators interleave by segments.
//
// Dense means that numbers are left out for two reasons only. What a process has
// at hand when it ends is never used: up to two segments. (Nor can Close return
// it: a "decrement if nobody has taken more" that the client repeats after a lost
// reply could take from another process what that was given meanwhile.) And if
// the reply to INCRBY is lost, the client may repeat the command: the numbers of
// the first are nobody's. Numbers are thus left out, but never given out twice. Who
// needs numbers without any gap (invoices, in some countries) needs a transaction of
// the database that keeps them.
//
// # Why IDs are unique, and what that takes
//
// INCRBY is atomic, a range it returns belongs to one generator, and that uses each
// number once. No clock is involved. All depends on Redis never forgetting the
// counter: by a flush, a restart without its data, an eviction, or a failover to a
// replica that has not got the last writes.
//
// A generator notices when the counter is below numbers that it has had itself, or
// that [After] told it of, and refuses with [ErrSequenceRegressed]. What it has at
// hand it can still use. Each later call that needs more looks anew and goes
// on being refused, until somebody has SET the counter to the highest number in
// use, or above: unlike in a [DailySequence] no number may ever come again, and
// only the table that holds the IDs knows which are in use.
//
// It looks before it takes whenever Redis has not answered for a second. That
// matters because each INCRBY moves a lost counter up, until processes that have
// seen less no longer notice. One that is refused although the generator has
// looked (the counter was lost just then) is not mistaken for a mend.
//
// These losses are not noticed:
//
//   - by a process that starts after the loss without After, or with one that is
//     too low. It counts from where the counter is;
//   - by a generator that has itself seen no more than where such a process has
//     counted to by then;
//   - after a failover that lost the last few INCRBYs, by a generator that has seen
//     none of them: it is given ranges that another has.
//
// So keep the data (appendonly yes, maxmemory-policy noeviction, which
// [Sequence.Check] looks at), give After, and have a unique index on the column.
//
// A Sequence is safe for concurrent use. Close it when done.
type Sequence struct {
	// piece is what callers take numbers from, without a lock. It is replaced
	// only when it is used up, with mu held: therefore no number of an older one
	// follows one of a newer one.
	piece atomic.Pointer[piece]

	options sequenceOptions
	rdb     SequenceRedis
	key     string

	fetches
	current segment   // what is left of it after the piece
	since   time.Time // when it came into use
	spare   segment   // the next one, or empty
	size    segmentSize
	quiet   time.Time // no fetch ahead of need before this
	counter knowledge
}

var _ Generator[ID] = (*Sequence)(nil)

// NewSequence returns a generator of numbers that are unique among all that have
// this name on this Redis. It does not talk to Redis yet. The error matches
// [ErrOption] and lists everything that is wrong.
//
// The name is 1 to 64 of the characters A-Z a-z 0-9 . _ ~ -. The only key is
// <prefix>:sequence:{<name>}, the last number that was given out; it has no
// expiry. A Redis user needs the command INCRBY for it (and INFO for
// [Sequence.Check]). A *redis.Ring is refused: when a server fails, it moves keys
// to another one, where they begin anew.
func NewSequence(rdb SequenceRedis, name string, opts ...SequenceOption) (*Sequence, error) {
	o, err := newSequenceOptions(name, opts)
	if err := errors.Join(checkClient(rdb), err); err != nil {
		return nil, err
	}
	q := &Sequence{
		options: o,
		rdb:     rdb,
		key:     o.prefix + ":sequence:{" + name + "}",
		fetches: newFetches(),
		size:    segmentSize{step: o.min, min: o.min, max: o.max},
		counter: knowledge{seen: o.after, moved: unmoved},
	}
	q.piece.Store(&piece{})
	return q, nil
}

// Next returns a new number. If it must wait for Redis it returns when ctx ends,
// even if Redis hangs; without a deadline in ctx, the client's own timeouts are
// the bound. Its error matches ctx's own, [ErrBackend], [ErrSequenceRegressed],
// [ErrSequenceExhausted] after 2^63-1, or [ErrClosed]. After any but the last, a
// later call may succeed.
func (q *Sequence) Next(ctx context.Context) (ID, error) {
	if id, ok := q.piece.Load().one(); ok {
		return id, nil
	}
	var one [1]ID
	_, err := q.fill(ctx, one[:])
	return one[0], err
}

// NextN fills dst with new numbers in ascending order. They follow one another
// without a gap as long as they are of one segment. It asks Redis for no more than
// one segment, as large as it takes, unless other callers take what that brings;
// before that it may wait for one that has been asked for already. It fails as
// [Sequence.Next] does, and returns how many numbers it has made: they are good.
func (q *Sequence) NextN(ctx context.Context, dst []ID) (int, error) {
	n := q.piece.Load().many(dst)
	if n == len(dst) && n > 0 {
		return n, nil
	}
	more, err := q.fill(ctx, dst[n:])
	return n + more, err
}

// fill is NextN with the lock. The loop is that of DailySequence.NextN; called
// through an interface, take would make dst escape, and Next would allocate.
func (q *Sequence) fill(ctx context.Context, dst []ID) (n int, err error) {
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
func (q *Sequence) take(ctx context.Context, dst []ID, waited need) (made int, _ need, _ error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.met(waited)
	if q.closed {
		return 0, need{}, ErrClosed
	}
	// Another caller may have brought a new piece meanwhile.
	if made = q.piece.Load().many(dst); made == len(dst) {
		return made, need{}, nil
	}
	// The piece is used up. What this caller needs is taken before others see the
	// rest: so it goes without gaps, and who has waited is not overtaken.
	now := q.options.now()
	for made < len(dst) && (q.current.left() > 0 || q.turn(now)) {
		for ; made < len(dst) && q.current.left() > 0; made++ {
			dst[made] = ID(q.current.next)
			q.current.next++
		}
	}
	q.cut()
	if made == len(dst) {
		q.fetchAhead(ctx, now)
		return made, need{}, nil
	}
	if q.counter.usedUp() {
		return made, need{}, q.exhausted()
	}
	count := int64(len(dst) - made)
	if q.inFlight == nil {
		q.fetch(ctx, now, q.amount(count, q.demand))
	}
	return made, q.enlist(count, false), nil
}

// turn brings the spare segment into use, if there is one. The old one is used up.
func (q *Sequence) turn(now time.Time) bool {
	if q.current.size > 0 {
		q.size.adapt(int64(q.current.size), now.Sub(q.since))
	}
	q.current, q.spare, q.since = q.spare, segment{}, now
	return q.current.left() > 0
}

// cut makes a quarter of a segment the next piece. It is not the whole, because
// only who finds a piece used up comes by here, where a fetch ahead of need that
// has failed is made once more.
func (q *Sequence) cut() {
	n := min(q.current.left(), (q.current.size+3)/4)
	if n == 0 {
		return
	}
	q.piece.Store(&piece{before: int64(q.current.next) - 1, size: int64(n)})
	q.current.next += n
}

// Close makes all later and all waiting calls fail with [ErrClosed], and frees
// what the generator holds. It does not close the Redis client. Numbers that
// are left over are never used.
//
// It waits up to one second for a call of the client that is under way, and
// returns an error that matches [ErrBackend] if that hangs for longer; the one
// goroutine that is left then ends with the client's own timeouts. Close may be
// called again.
func (q *Sequence) Close() error {
	return q.close(func() { q.piece.Store(&piece{}) })
}

// maxNumber is the last number of a sequence.
const maxNumber = math.MaxInt64
