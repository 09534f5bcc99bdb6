package idgen

import "time"

// SequenceOption configures a [Sequence].
type SequenceOption interface{ applySequence(*sequenceOptions) }

type sequenceOptions struct {
	prefix   string
	min, max int64
	now      func() time.Time
}
