package core

import (
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/clockwork"
)

func TestHoldTimesAreAMovingAverage(t *testing.T) {
	var h holdTimes
	h.observe(time.Second)
	if h.average != time.Second {
		t.Errorf("after the first: %v", h.average)
	}
	h.observe(9 * time.Second)
	if h.average != 2*time.Second {
		t.Errorf("after the second: %v, want an eighth of the way", h.average)
	}
	for range 100 {
		h.observe(10 * time.Millisecond)
	}
	if h.average < 10*time.Millisecond || h.average > 11*time.Millisecond {
		t.Errorf("it does not follow: %v", h.average)
	}
}

func TestWhenToComeAgain(t *testing.T) {
	const none = -1
	begun := time.Now()
	validFor := func(d time.Duration) lease {
		const ttl = time.Hour
		v := clockwork.Since(time.Now(), ttl)
		return lease{valid: clockwork.Since(time.Now().Add(d-v.Remaining(time.Now())), ttl)}
	}
	cases := map[string]struct {
		average time.Duration // of the holds seen
		inLine  int
		entry   *entry
		want    time.Duration // before jitter
	}{
		"nothing is known":                {0, 0, nil, none},
		"nothing is known, some in line":  {0, 5, nil, none},
		"the usual hold":                  {time.Second, 0, nil, time.Second},
		"those in line hold, too":         {time.Second, 4, nil, 5 * time.Second},
		"those in Redis before us":        {time.Second, 1, &entry{life: waiting, waited: &waited{position: 3}}, 4 * time.Second},
		"asking, not yet in line":         {time.Second, 0, &entry{life: asking}, time.Second},
		"the lease held here":             {0, 0, &entry{life: held, lease: validFor(8 * time.Second)}, 8 * time.Second},
		"the lease held elsewhere":        {0, 0, &entry{life: waiting, waited: &waited{position: 1, ownerTTL: 4 * time.Second}}, 4 * time.Second},
		"a lease without an expiry":       {0, 0, &entry{life: waiting, waited: &waited{position: 1, ownerTTL: -1}}, none},
		"a lapsed lease":                  {0, 0, &entry{life: held, lease: validFor(-time.Second)}, none},
		"the usual hold before the lease": {time.Second, 0, &entry{life: held, lease: validFor(20 * time.Minute)}, time.Second},
		"never at once":                   {time.Microsecond, 0, nil, minRetryHint},
		"never much later":                {time.Hour, 100, nil, maxRetryHint},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			l := &RedisLocker{holds: holdTimes{c.average}}
			q := &queue{entry: c.entry}
			for range c.inLine {
				q.line.push(&request{})
			}
			lowest, highest := time.Duration(1<<62), time.Duration(0)
			for range 1000 {
				got := l.retryHint(q, ErrHeld, nil)
				lowest, highest = min(lowest, got), max(highest, got)
			}
			if c.want == none {
				if lowest != 0 || highest != 0 {
					t.Errorf("between %v and %v, want none", lowest, highest)
				}
				return
			}
			low, high := c.want*3/4, c.want*5/4
			slack := time.Since(begun) // for which the lease has run meanwhile
			if lowest < low-slack || highest > high {
				t.Errorf("between %v and %v, want between %v and %v", lowest, highest, low, high)
			}
			// Those who were refused together do not come back together.
			if highest-lowest < (high-low)*8/10 {
				t.Errorf("only between %v and %v, want it spread from %v to %v", lowest, highest, low, high)
			}
		})
	}
}
