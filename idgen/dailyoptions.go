package idgen

import (
	"errors"
	"fmt"
	"time"
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

// Zone sets the time zone at whose midnight the counter starts again. The
// default is UTC. It must be the same in all processes.
func Zone(loc *time.Location) DailyOption {
	return dailyOption(func(d *dailyOptions) { d.zone = loc })
}

func newDailyOptions(name string, opts []DailyOption) (dailyOptions, error) {
	d := dailyOptions{name: name, prefix: DefaultKeyPrefix, zone: time.UTC, min: 100, max: 100_000, now: time.Now}
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
