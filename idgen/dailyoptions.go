package idgen

import "time"

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
	d := dailyOptions{name: name, prefix: DefaultKeyPrefix, zone: time.UTC, min: defaultMinSegment, max: defaultMaxSegment, now: time.Now}
	for _, o := range opts {
		if o != nil {
			o.applyDaily(&d)
		}
	}
	return d, d.validate()
}

func (d *dailyOptions) validate() error {
	var f optionFaults
	f.names(d.name, d.prefix)
	switch {
	case d.epoch.IsZero():
		f.add("Epoch is missing")
	case d.epoch.Nanosecond() != 0:
		f.add("Epoch %v is not a whole second", d.epoch)
	}
	if d.zone == nil {
		f.add("Zone is nil")
	}
	f.segment(d.min, d.max)
	f.clock(d.now)
	return f.err()
}
