package idgen

import (
	"testing"
	"time"
)

func TestSegmentsDoubleUnderTenSecondsAndAreHalvedOverTwenty(t *testing.T) {
	for _, c := range []struct {
		step, count int64
		lasted      time.Duration
		want        int64
	}{
		{100, 100, 9 * time.Second, 200},
		{100, 100, 10 * time.Second, 100},
		{100, 100, 20 * time.Second, 100},
		{100, 100, 21 * time.Second, 50},
		{600, 600, time.Second, 1000}, // the most
		{15, 15, time.Hour, 10},       // the fewest
		// The size has been changed since the numbers were asked for: at their
		// rate it is right.
		{200, 100, 6 * time.Second, 200},
		{50, 100, 30 * time.Second, 50},
		// A batch was larger than the step.
		{100, 10_000, 600 * time.Second, 200},
		{100, 100, 1<<63 - 1, 50},
		{100, 100, -time.Second, 200}, // a clock that was set back
	} {
		s := segmentSize{step: c.step, min: 10, max: 1000}
		s.adapt(c.count, c.lasted)
		if s.step != c.want {
			t.Errorf("%d, after %d numbers that lasted %v: %d, want %d", c.step, c.count, c.lasted, s.step, c.want)
		}
	}
}
