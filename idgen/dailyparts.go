package idgen

import (
	"fmt"
	"time"
)

// An ID of a DailySequence is 0 · 31 bits of seconds · 32 bits of counter.
const (
	counterBits = 32
	maxCounter  = 1<<counterBits - 1
	maxSeconds  = 1<<31 - 1
)

// DailyParts is what an ID of a [DailySequence] is made of.
type DailyParts struct {
	// Time is the second in which the ID was made, by the clock of the process
	// that made it, in UTC.
	Time time.Time
	// Counter is the ID's number in its day, from 1. Numbers may be left out.
	Counter uint32
}

// SplitDaily takes an ID of a [DailySequence] with the given epoch apart. The
// error matches [ErrInvalidID] if the number cannot be such an ID: it is
// negative, or its counter is zero.
func SplitDaily(id ID, epoch time.Time) (DailyParts, error) {
	counter := uint32(id & maxCounter)
	if id < 0 || counter == 0 {
		return DailyParts{}, fmt.Errorf("%w: %d", ErrInvalidID, id)
	}
	return DailyParts{Time: time.Unix(epoch.Unix()+int64(id>>counterBits), 0).UTC(), Counter: counter}, nil
}

// Split takes an ID of this sequence apart, as [SplitDaily].
func (q *DailySequence) Split(id ID) (DailyParts, error) { return SplitDaily(id, q.options.epoch) }
