package idgen

import (
	"sync/atomic"
	"time"
)

// wallClock is the system's clock for those who read it very often. [time.Now]
// asks the system for two times, which is half of what a UUID costs. A wallClock
// asks for the monotonic one, and adds what the other was ahead of it when it
// looked last. Both run at the same speed, so it differs from time.Now only once
// the clock is set, or the machine was suspended, and then for wallClockAge. The
// zero value is ready.
type wallClock struct {
	// ahead is what to add to the monotonic time, looked when that was found.
	// looked is written after ahead and read before it: what is read of ahead is
	// as new as that, or newer.
	ahead, looked atomic.Int64
}

// wallClockAge is how long a look at the clock is good for.
const wallClockAge = 10 * time.Millisecond

// processStart is where monotonic time is counted from.
var processStart = time.Now()

// nano is the time in nanoseconds since 1970.
func (c *wallClock) nano() int64 {
	elapsed := int64(time.Since(processStart))
	// Unsigned: in a bubble of testing/synctest the time may be before the last
	// look. Zero is no look at all.
	if looked := c.looked.Load(); looked != 0 && uint64(elapsed-looked) < uint64(wallClockAge) {
		return elapsed + c.ahead.Load()
	}
	now := time.Now()
	nano, elapsed := now.UnixNano(), int64(now.Sub(processStart))
	c.ahead.Store(nano - elapsed)
	c.looked.Store(elapsed)
	return nano
}
