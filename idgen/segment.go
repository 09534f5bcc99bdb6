package idgen

import "time"

// segment is a range of numbers that belong to one generator.
type segment struct {
	next, end uint64 // next ≤ number < end
	size      uint64 // when new
}

// newSegment returns the numbers from first to last.
func newSegment(first, last uint64) segment {
	return segment{next: first, end: last + 1, size: last + 1 - first}
}

func (s *segment) left() uint64 { return s.end - s.next }

const (
	// A segment should last between these, by the size's halving and doubling.
	shortSegment = 10 * time.Second
	longSegment  = 20 * time.Second

	// Of Segment.
	defaultMinSegment, defaultMaxSegment = 100, 100_000
)

// segmentSize is how large the next segment should be.
type segmentSize struct{ step, min, max int64 }

// adapt learns from count numbers that lasted for the given time. The next size
// is judged by their rate, not by their number: the size may have been changed
// since they were asked for, and changing it once more for the same reason would
// make it swing.
func (s *segmentSize) adapt(count int64, lasted time.Duration) {
	expect := lasted.Seconds() * float64(s.step) / float64(count)
	switch {
	case expect < shortSegment.Seconds():
		s.step = min(s.step*2, s.max)
	case expect > longSegment.Seconds():
		s.step = max(s.step/2, s.min)
	}
}
