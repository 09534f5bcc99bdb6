package hunt

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// shiftingClock is a wall clock that jumps: half of the time it is right, and
// half of the time off by up to a shift in either direction. It gives times
// without a monotonic part, so that for a generator not even the time that has
// passed is what it was.
type shiftingClock struct {
	random *rand.Rand
	shift  time.Duration
	offset atomic.Int64
}

func newShiftingClock(random *rand.Rand, shift time.Duration) *shiftingClock {
	c := &shiftingClock{random: random, shift: shift}
	c.set()
	return c
}

func (c *shiftingClock) now() time.Time {
	return time.Now().Round(0).Add(time.Duration(c.offset.Load()))
}

func (c *shiftingClock) set() {
	if c.shift == 0 || c.random.IntN(2) == 0 {
		c.offset.Store(0)
		return
	}
	c.offset.Store(c.random.Int64N(int64(2*c.shift)+1) - int64(c.shift))
}

// jump lets the clock jump now and then until ctx ends.
func (c *shiftingClock) jump(ctx context.Context, w *reportWriter) {
	for {
		elapse(ctx, 500*time.Millisecond+time.Duration(c.random.Int64N(int64(2*time.Second))))
		if ctx.Err() != nil {
			return
		}
		c.set()
		w.jumped()
	}
}
