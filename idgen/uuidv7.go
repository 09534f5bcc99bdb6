package idgen

import (
	"context"
	"encoding/binary"
	"sync/atomic"

	"github.com/google/uuid"
)

// UUIDv7 makes UUIDs that sort by the time they were made (RFC 9562, section
// 5.7). Each is greater than every earlier one of the same generator, from
// whatever goroutine. The zero value is ready; it must not be copied.
//
// Of the 74 bits behind the milliseconds, 18 are a fraction of the millisecond
// that doubles as a counter (section 6.2, methods 3 and 1), and 56 are random.
// The section's own 12 bits are too few: from 4 million UUIDs a second, which
// one core can make, they would run ahead of the clock. A step of 18 bits is
// 3.8 ns, less than it takes to make one.
//
// When the clock is set back, the generator goes on counting from its last
// value until the clock has caught up; so UUIDs keep their order, and their
// time stands still meanwhile. A clock that is set is noticed within about 10 ms.
type UUIDv7 struct {
	// last is the highest tick given out: milliseconds since 1970 and 18 bits
	// of fraction. 46 bits of milliseconds last until the year 4199.
	last  atomic.Uint64
	clock wallClock
	// now is the clock for tests, in nanoseconds since 1970; nil is the real
	// one.
	now func() int64
}

var _ Generator[uuid.UUID] = (*UUIDv7)(nil)

// fractionBits is how finely a millisecond is divided.
const fractionBits = 18

// Next returns a new UUID. It never waits and never fails.
func (g *UUIDv7) Next(context.Context) (uuid.UUID, error) {
	t := g.reserve(1)
	e := stocks.Get().(*entropy)
	id := v7(t, e.uint64())
	stocks.Put(e)
	return id, nil
}

// NextN fills dst, in ascending order. It never waits and never fails. All
// come out of one atomic operation: no UUID from another goroutine lies between
// them.
func (g *UUIDv7) NextN(_ context.Context, dst []uuid.UUID) (int, error) {
	if len(dst) == 0 {
		return 0, nil
	}
	t := g.reserve(uint64(len(dst)))
	e := stocks.Get().(*entropy)
	for i := range dst {
		dst[i] = v7(t+uint64(i), e.uint64())
	}
	stocks.Put(e)
	return len(dst), nil
}

// reserve returns the first of n ticks that nobody else gets, all of them later
// than those that others got before.
func (g *UUIDv7) reserve(n uint64) (first uint64) {
	var nano int64
	if g.now == nil {
		nano = g.clock.nano()
	} else {
		nano = g.now()
	}
	now := tick(nano)
	for {
		last := g.last.Load()
		first = max(now, last+1)
		if g.last.CompareAndSwap(last, first+n-1) {
			return first
		}
	}
}

// tick turns nanoseconds since 1970 into milliseconds with a fraction.
func tick(nano int64) uint64 {
	n := uint64(max(nano, 0)) // RFC 9562 knows no time before 1970
	milli := n / 1e6
	return milli<<fractionBits | (n-milli*1e6)<<fractionBits/1e6
}

// v7 lays out a UUID: 48 bits of milliseconds, the version, the upper 12 bits
// of the fraction, the variant, its lower 6 bits, and 56 random bits.
func v7(tick, random uint64) (id uuid.UUID) {
	const low = fractionBits - 12
	milli, fraction := tick>>fractionBits, tick&(1<<fractionBits-1)
	binary.BigEndian.PutUint64(id[:8], milli<<16|0x7000|fraction>>low)
	binary.BigEndian.PutUint64(id[8:], 0x80<<56|fraction&(1<<low-1)<<56|random>>8)
	return id
}
