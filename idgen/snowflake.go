package idgen

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Snowflake makes IDs of 41 bits of milliseconds since an epoch, a worker number
// and a number in the millisecond, which share 22 bits: unique over all
// processes, rising, and made without asking anyone. The worker number is leased
// from Redis, in the background.
//
// # Why IDs are unique
//
// A worker number is not leased until a time at which its holder must stop, for
// no process can check the time and make an ID in one step: it may be paused in
// between, for as long as it takes another to get the number. What is leased are
// the times that IDs may carry. Redis grants a generator the times below a
// ceiling, and moves the ceiling on three times per [Window], to no more than a
// window from now. The next holder of the number starts above the ceiling. So
// what a process makes late, after a pause of hours, carries a time that was
// reserved for it and for nobody else.
//
// Redis may lose writes, in a failover or a restart, and with them ceilings. The
// next holder therefore starts above now + window + [Skew], where now is the
// clock of Redis: above all ceilings that can have been granted before, seen or
// unseen. A ceiling above that is granted to it once the skew has passed. That is
// how long a generator waits for its first ID.
//
// Clocks of the processes play no part in this. The clock of Redis does, if data
// are lost while it is, or before it is set, more than the skew behind the latest
// time that it has shown.
// What else can make an ID come twice: two masters that both accept writes for
// longer than the skew (see there), two losses of data within three windows, the
// second of which brings back what the first had lost, and a process that is
// copied while it runs (a snapshot of a virtual machine that is restored twice):
// its copies hold the same lease.
//
// # Time and order
//
// IDs of one generator rise strictly, whatever clocks do. Those of several are
// ordered by time, roughly: the time in an ID is that of Redis, but up to a
// window ahead of it after the start and after bursts. An ID takes the next
// number of the current millisecond or, if IDs are already ahead of it, of the
// one after the last. The first number of a millisecond varies, so that id % n
// is spread evenly where IDs are made one at a time.
//
// A generator makes 2^sequence bits IDs per millisecond, 4,096,000 per second by
// default, and may use up a window of them at once. Who wants more waits for time
// to pass, 30 ms at the most (a hundredth of a window if that is less).
//
// # When Redis is away
//
// Times that are leased are used up first: two thirds of a window at least.
// Then calls fail with [ErrWindowExhausted] and [ErrBackend], once an attempt to
// reach Redis has failed, until one succeeds. A generator whose lease is lost
// leases another number, in the background, while it uses up its times.
//
// A Snowflake is safe for concurrent use. Close it when done.
type Snowflake struct {
	options snowflakeOptions
	rdb     SnowflakeRedis

	window  atomic.Pointer[workerWindow]
	offset  atomic.Int64 // the clock of Redis since the epoch, less elapsed, in ns
	started time.Time

	sequenceBits uint
	rotation     uint // how far to shift a product for the first number of a millisecond

	lease *workerLease
}

var _ Generator[ID] = (*Snowflake)(nil)

// NewSnowflake returns a generator of IDs that are unique among all that have
// this name on this Redis. [Epoch] must be given. It begins to lease a worker
// number in the background; [Snowflake.Check] waits for that, and tells what is
// wrong. The error matches [ErrOption] and lists everything that is wrong.
//
// The name is 1 to 64 of the characters A-Z a-z 0-9 . _ ~ -. There is one key in
// Redis, <prefix>:snowflake:{<name>}, a hash without expiry of at most one field
// per worker number. It must not be deleted while generators run. A Redis user
// needs the commands EVAL, EVALSHA, TIME, HGET, HGETALL and HSET for it, and INFO
// for [Snowflake.Check].
func NewSnowflake(rdb SnowflakeRedis, name string, opts ...SnowflakeOption) (*Snowflake, error) {
	o, err := newSnowflakeOptions(name, opts)
	if err := errors.Join(checkClient(rdb), err); err != nil {
		return nil, err
	}
	bits := uint(sharedBits - o.workerBits)
	s := &Snowflake{options: o, rdb: rdb, sequenceBits: bits, rotation: 64 - (bits - 2)}
	s.started = s.now()
	s.window.Store(noWindow())
	s.lease = newWorkerLease(s)
	s.lease.start()
	return s, nil
}

// Next returns a new ID. It waits only if there is none at hand: at the start, if
// IDs are wanted faster than the layout has them, and when Redis is away. Then it
// returns when ctx ends, even if Redis hangs; without a deadline in ctx, the
// client's own timeouts are the bound. Its error matches ctx's own and
// [ErrWindowExhausted], [ErrBackend], [ErrNoWorker], [ErrLeaseLost], [ErrClock],
// [ErrTimeExhausted], [ErrLayoutMismatch] or [ErrClosed]. After any but the last,
// a later call may succeed.
func (s *Snowflake) Next(ctx context.Context) (ID, error) {
	t := s.window.Load()
	if word, n := t.take(s.tick(), 1, 1); n == 1 {
		return t.id(word), nil
	}
	var one [1]ID
	_, err := s.NextN(ctx, one[:])
	return one[0], err
}

// NextN fills dst with new IDs in ascending order. As many as a millisecond has
// (4,096 by default) are contiguous: no other ID of this generator is between
// them. More are made in as few parts as there is room for. It fails as
// [Snowflake.Next] does, and returns how many IDs it has made: they are good.
func (s *Snowflake) NextN(ctx context.Context, dst []ID) (int, error) {
	made := 0
	for made < len(dst) {
		// What ends after the news were asked for is not missed.
		news := s.lease.nextRenewal()
		n := s.make(dst[made:])
		made += n
		if n > 0 {
			continue
		}
		if err := s.lease.await(ctx, news); err != nil {
			return made, err
		}
	}
	return made, nil
}

// make makes a part of dst, without waiting.
func (s *Snowflake) make(dst []ID) int {
	n := uint64(len(dst))
	t := s.window.Load()
	word, got := t.take(s.tick(), n, min(n, 1<<s.sequenceBits))
	t.fill(dst[:got], word)
	return int(got)
}

// tick is the first word of the current millisecond.
//
// At low rates each ID is the first of its millisecond. If that were always
// number 0, the lower bits of all IDs were the same, and so would be id % 2^k. A
// multiplicative hash of the time (Knuth, The Art of Computer Programming, volume
// 3, section 6.4) spreads them over a quarter of the numbers. The rest of a
// millisecond's numbers follows; should they not suffice, those of the next do,
// so that nothing is lost by starting late.
func (s *Snowflake) tick() uint64 {
	milli := uint64(max(s.offset.Load()+int64(s.elapsed()), 0)) / 1e6
	return milli<<(s.sequenceBits&63) | milli*0x9e3779b97f4a7c15>>(s.rotation&63)
}

// elapsed is the time since the generator was made.
func (s *Snowflake) elapsed() time.Duration {
	if s.options.now == nil {
		return time.Since(s.started)
	}
	return s.options.now().Sub(s.started)
}

func (s *Snowflake) now() time.Time {
	if s.options.now == nil {
		return time.Now()
	}
	return s.options.now()
}

// Worker returns the worker number that IDs are made with, and false if there is
// none at the moment. It may change when the lease is lost.
func (s *Snowflake) Worker() (number int, ok bool) {
	t := s.window.Load()
	return int(t.worker), t.room(s.tick()) > 0
}

// Check asks whether Redis is fit for these IDs, as [Sequence.Check] does, and
// waits until one can be made: about as long as the [Skew] after the start. Call it
// when the process starts, before it says that it is ready. It fails as
// [Snowflake.Next] does, or with a [*CheckError], which matches [ErrUnfit].
func (s *Snowflake) Check(ctx context.Context) error {
	if s.lease.isClosed() {
		return ErrClosed
	}
	if err := checkServer(ctx, s.rdb, s.options.key(), false); err != nil {
		return err
	}
	for {
		news := s.lease.nextRenewal()
		if s.window.Load().room(s.tick()) > 0 {
			return nil
		}
		if err := s.lease.await(ctx, news); err != nil {
			return err
		}
	}
}

// Close makes all later and all waiting calls fail with [ErrClosed], and gives
// the worker number back. It does not close the Redis client.
//
// It waits up to two seconds for Redis, and returns an error that matches
// [ErrBackend] if the number could not be given back, which then is free when the
// lease ends. A goroutine that is left in a call that hangs ends with the
// client's own timeouts. Close may be called again.
func (s *Snowflake) Close() error { return s.lease.close() }
