package idgen

import "time"

// SequenceOption configures a [Sequence].
type SequenceOption interface{ applySequence(*sequenceOptions) }

type sequenceOptions struct {
	name     string
	prefix   string
	min, max int64
	after    int64
	now      func() time.Time
}

type sequenceOption func(*sequenceOptions)

func (o sequenceOption) applySequence(s *sequenceOptions) { o(s) }

// After tells a [Sequence] that the numbers up to n have been used, as from
// SELECT max(id) when the process starts: a range at or below n is refused. It
// is how a loss of the counter is noticed by a process that starts after it. The
// default is 0.
//
// It does not set the counter: to begin a new sequence above old numbers, SET
// its key in Redis, once. The first Next takes a second round trip, to look
// where the counter stands.
func After(n ID) SequenceOption {
	return sequenceOption(func(s *sequenceOptions) { s.after = int64(n) })
}

func newSequenceOptions(name string, opts []SequenceOption) (sequenceOptions, error) {
	s := sequenceOptions{name: name, prefix: DefaultKeyPrefix, min: defaultMinSegment, max: defaultMaxSegment, now: time.Now}
	for _, o := range opts {
		if o != nil {
			o.applySequence(&s)
		}
	}
	var f optionFaults
	f.names(s.name, s.prefix)
	f.segment(s.min, s.max)
	f.clock(s.now)
	if s.after < 0 {
		f.add("After %d is negative", s.after)
	}
	return s, f.err()
}
