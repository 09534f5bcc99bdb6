package idgen

import (
	"errors"
	"fmt"
	"time"
)

// Limits of the options of a [DailySequence].
const (
	// MaxNameLen is the longest name, and the longest prefix, in bytes.
	MaxNameLen = 64
	// MaxSegment is the largest segment: see [Segment].
	MaxSegment = 1 << 24
)

// DailyOption configures a [DailySequence].
type DailyOption interface{ applyDaily(*dailyOptions) }

type dailyOptions struct {
	name     string
	prefix   string
	epoch    time.Time
	zone     *time.Location
	min, max int64
	now      func() time.Time
}

type dailyOption func(*dailyOptions)

func (o dailyOption) applyDaily(d *dailyOptions) { o(d) }

// Epoch sets the instant from which the IDs count their seconds. It must be a
// whole second and has no default, because it can never be changed: with
// another epoch, IDs of two different seconds look the same. Choose a time
// shortly before the first ID; 31 bits of seconds then last for 68 years.
func Epoch(t time.Time) DailyOption {
	return dailyOption(func(d *dailyOptions) { d.epoch = t })
}

// Zone sets the time zone at whose midnight the counter starts again. The
// default is UTC. It must be the same in all processes.
func Zone(loc *time.Location) DailyOption {
	return dailyOption(func(d *dailyOptions) { d.zone = loc })
}

// Segment sets the fewest and the most counter values that are taken from
// Redis in one trip. The defaults are 100 and 100,000. The size doubles when a
// segment lasts less than 10 s and is halved when it lasts over 20 s. What is
// left of a segment when the day or the process ends is never used. A call that
// asks for more IDs at once gets them in one trip, whatever the size.
func Segment(fewest, most int) DailyOption {
	return dailyOption(func(d *dailyOptions) { d.min, d.max = int64(fewest), int64(most) })
}

// KeyPrefix sets what all keys in Redis begin with. The default is "latchkey".
func KeyPrefix(prefix string) DailyOption {
	return dailyOption(func(d *dailyOptions) { d.prefix = prefix })
}

// withClock replaces the wall clock.
func withClock(now func() time.Time) DailyOption {
	return dailyOption(func(d *dailyOptions) { d.now = now })
}

func newDailyOptions(name string, opts []DailyOption) (dailyOptions, error) {
	d := dailyOptions{name: name, prefix: "latchkey", zone: time.UTC, min: 100, max: 100_000, now: time.Now}
	for _, o := range opts {
		if o != nil {
			o.applyDaily(&d)
		}
	}
	return d, d.validate()
}

func (d *dailyOptions) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrOption}, args...)...))
	}
	// The name stands between the braces of a Redis hash tag and the prefix
	// before them: neither may bring braces of its own.
	if !validName(d.name) {
		bad("name %q is not 1 to %d of A-Z a-z 0-9 . _ ~ -", d.name, MaxNameLen)
	}
	if !validName(d.prefix) {
		bad("KeyPrefix %q is not 1 to %d of A-Z a-z 0-9 . _ ~ -", d.prefix, MaxNameLen)
	}
	switch {
	case d.epoch.IsZero():
		bad("Epoch is missing")
	case d.epoch.Nanosecond() != 0:
		bad("Epoch %v is not a whole second", d.epoch)
	}
	if d.zone == nil {
		bad("Zone is nil")
	}
	if d.min < 1 || d.max > MaxSegment || d.min > d.max {
		bad("Segment %d, %d is not 1 ≤ fewest ≤ most ≤ %d", d.min, d.max, MaxSegment)
	}
	return errors.Join(errs...)
}

func validName(s string) bool { return len(s) <= MaxNameLen && ValidRequestID(s) }
