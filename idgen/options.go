package idgen

import "time"

// Limits of options.
const (
	// MaxNameLen is the longest name, and the longest prefix, in bytes.
	MaxNameLen = 64
	// MaxSegment is the largest segment: see [Segment].
	MaxSegment = 1 << 24
)

// DefaultKeyPrefix is what keys in Redis begin with, unless [KeyPrefix] says
// otherwise.
const DefaultKeyPrefix = "latchkey"

// The options below are for more than one generator: each is an option of all
// whose interface it has.

// Epoch sets the instant from which IDs count their time. It has no default,
// because it can never be changed: with another epoch, IDs of two different
// times look the same. Choose a time shortly before the first ID.
//
// A [DailySequence] needs a whole second; its 31 bits of seconds last for 68
// years. A [Snowflake] needs a whole millisecond; its 41 bits of milliseconds
// last for 69 years.
func Epoch(t time.Time) interface {
	DailyOption
	SnowflakeOption
} {
	return epochOption{t}
}

type epochOption struct{ t time.Time }

func (o epochOption) applyDaily(d *dailyOptions)         { d.epoch = o.t }
func (o epochOption) applySnowflake(s *snowflakeOptions) { s.epoch = o.t }

// KeyPrefix sets what all keys in Redis begin with: 1 to 64 of the characters
// A-Z a-z 0-9 . _ ~ -. The default is [DefaultKeyPrefix].
func KeyPrefix(prefix string) interface {
	DailyOption
	SequenceOption
	SnowflakeOption
} {
	return prefixOption(prefix)
}

type prefixOption string

func (o prefixOption) applyDaily(d *dailyOptions)         { d.prefix = string(o) }
func (o prefixOption) applySequence(s *sequenceOptions)   { s.prefix = string(o) }
func (o prefixOption) applySnowflake(s *snowflakeOptions) { s.prefix = string(o) }

// Segment sets the fewest and the most numbers that are taken from Redis in one
// fetch. The defaults are 100 and 100,000. The size doubles when a segment lasts
// less than 10 s and is halved when it lasts over 20 s. What is left of a
// segment when the process (or the day of a [DailySequence]) ends is never used.
// A call that asks for more IDs at once gets them in one fetch, whatever the size.
func Segment(fewest, most int) interface {
	DailyOption
	SequenceOption
} {
	return segmentOption{int64(fewest), int64(most)}
}

type segmentOption struct{ min, max int64 }

func (o segmentOption) applyDaily(d *dailyOptions)       { d.min, d.max = o.min, o.max }
func (o segmentOption) applySequence(s *sequenceOptions) { s.min, s.max = o.min, o.max }

// Clock replaces time.Now, for tests: a clock that is set, that runs fast or
// that is wrong. now must be safe for concurrent use.
//
// A [DailySequence] takes the second of its IDs from it. A [Snowflake] and a
// [Sequence] only measure how much time passes; with time.Now they do so on the
// monotonic clock.
func Clock(now func() time.Time) interface {
	DailyOption
	SequenceOption
	SnowflakeOption
} {
	return clockOption{now}
}

type clockOption struct{ now func() time.Time }

func (o clockOption) applyDaily(d *dailyOptions)         { d.now = o.now }
func (o clockOption) applySequence(s *sequenceOptions)   { s.now = o.now }
func (o clockOption) applySnowflake(s *snowflakeOptions) { s.now, s.clocked = o.now, true }

// validName tells whether a name can stand between the braces of a Redis hash
// tag, or a prefix before them: neither may bring braces of its own.
func validName(s string) bool { return len(s) <= MaxNameLen && ValidRequestID(s) }
