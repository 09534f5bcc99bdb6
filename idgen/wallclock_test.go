package idgen

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTheWallClockIsTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(wallClock)
		for _, step := range []time.Duration{0, 0, time.Nanosecond, wallClockAge - 1, wallClockAge, time.Hour} {
			time.Sleep(step)
			if got, want := c.nano(), time.Now().UnixNano(); got != want {
				t.Errorf("after a step of %v: %v, want %v", step, time.Unix(0, got), time.Unix(0, want))
			}
		}
	})
}

func TestTheWallClockFollowsAClockThatIsSet(t *testing.T) {
	for name, by := range map[string]time.Duration{"forward": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := new(wallClock)
				c.nano()
				c.ahead.Add(-int64(by)) // as if it had been set since that look
				behind := func() time.Duration { return time.Since(time.Unix(0, c.nano())) }
				if got := behind(); got != by {
					t.Errorf("at once it is %v behind, want %v: it looks each time", got, by)
				}
				time.Sleep(wallClockAge)
				if got := behind(); got != 0 {
					t.Errorf("%v later it is %v behind, want 0", wallClockAge, got)
				}
			})
		})
	}
}

// In a bubble both times are of one clock. Outside they are corrected one by one,
// at the same speed: within wallClockAge that is far less than a millisecond.
func TestTheWallClockIsTheSystemsOutsideOfABubble(t *testing.T) {
	const corrected = int64(time.Millisecond)
	c := new(wallClock)
	for range 1000 {
		before := time.Now().UnixNano()
		got := c.nano()
		after := time.Now().UnixNano()
		if got < before-corrected || got > after+corrected {
			t.Fatalf("%d, want %d to %d", got, before, after)
		}
	}
}
