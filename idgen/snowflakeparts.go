package idgen

import (
	"fmt"
	"time"
)

// An ID of a Snowflake is 0 · 41 bits of milliseconds · worker number · number
// in the millisecond, the last two of which share 22 bits.
const (
	timeBits   = 41
	sharedBits = 22
)

// SnowflakeParts is what an ID of a [Snowflake] is made of.
type SnowflakeParts struct {
	// Time is the millisecond of the ID, in UTC. It is the time by the clock of
	// Redis at which the ID was made, or up to a window and a bit later (see
	// [Snowflake]).
	Time time.Time
	// Worker is the number that was leased to the process.
	Worker int
	// Sequence is the number of the ID in its millisecond. Numbers may be left out.
	Sequence int
}

// SplitSnowflake takes an ID of a [Snowflake] with the given epoch and number of
// worker bits apart. The error matches [ErrInvalidID] if the ID is negative, and
// [ErrOption] if the bits are out of range.
func SplitSnowflake(id ID, epoch time.Time, workerBits int) (SnowflakeParts, error) {
	if workerBits < 1 || workerBits > MaxWorkerBits {
		return SnowflakeParts{}, fmt.Errorf("%w: %d worker bits are not 1 to %d", ErrOption, workerBits, MaxWorkerBits)
	}
	if id < 0 {
		return SnowflakeParts{}, fmt.Errorf("%w: %d", ErrInvalidID, int64(id))
	}
	sequenceBits := sharedBits - workerBits
	return SnowflakeParts{
		Time:     time.UnixMilli(epoch.UnixMilli() + int64(id>>sharedBits)).UTC(),
		Worker:   int(id >> sequenceBits & (1<<workerBits - 1)),
		Sequence: int(id & (1<<sequenceBits - 1)),
	}, nil
}

// Split takes an ID of this generator, or of one with the same layout, apart.
func (s *Snowflake) Split(id ID) (SnowflakeParts, error) {
	return SplitSnowflake(id, s.options.epoch, s.options.workerBits)
}
