package idgen

import (
	"fmt"
	"time"
)

// Defaults and limits of the options of a [Snowflake].
const (
	DefaultWindow = 3 * time.Second
	MinWindow     = 100 * time.Millisecond
	MaxWindow     = time.Minute

	DefaultSkew = time.Second
	MaxSkew     = time.Minute

	DefaultWorkerBits = 10
	MaxWorkerBits     = 12
)

// SnowflakeOption configures a [Snowflake].
type SnowflakeOption interface{ applySnowflake(*snowflakeOptions) }

type snowflakeOptions struct {
	name       string
	prefix     string
	epoch      time.Time
	window     time.Duration
	skew       time.Duration
	workerBits int
	clocked    bool             // by the option Clock,
	now        func() time.Time // which this is then
}

type snowflakeOption func(*snowflakeOptions)

func (o snowflakeOption) applySnowflake(s *snowflakeOptions) { o(s) }

// Window sets for how much time at once IDs are reserved: whole milliseconds
// from [MinWindow] to [MaxWindow], [DefaultWindow] by default. It is a part of
// the layout: all processes must have the same. The lease of the worker number
// lasts three windows; every third of a window it is extended. So Redis may be
// away for two thirds of a window before IDs run out, and the worker number of a
// process that has died is free after three. IDs may be up to a window ahead of
// the time (see [Snowflake]).
func Window(d time.Duration) SnowflakeOption {
	return snowflakeOption(func(s *snowflakeOptions) { s.window = d })
}

// Skew sets by how much the clock of a Redis server may be behind that of the
// server it takes over from, or its own before a restart: whole milliseconds up
// to [MaxSkew], [DefaultSkew] by default. This is how long a new generator waits
// before its first ID. Zero is for a Redis that never loses what it has written.
// Give all processes the same: it is the next holder's wait that protects the last.
//
// It is also for how long a master that has been cut off may go on accepting
// writes when another has taken over: both give the same number to the next who
// asks, and after the skew both let it make IDs. Redis Cluster stops such a master
// after cluster-node-timeout, min-replicas-to-write after min-replicas-max-lag.
func Skew(d time.Duration) SnowflakeOption {
	return snowflakeOption(func(s *snowflakeOptions) { s.skew = d })
}

// WorkerBits sets how many of the 22 bits behind the time are for the worker
// number, from 1 to [MaxWorkerBits]; the others count the IDs of a millisecond.
// The default is [DefaultWorkerBits]: 1,024 generators at the same time, each of
// which makes 4,096 IDs per millisecond.
func WorkerBits(n int) SnowflakeOption {
	return snowflakeOption(func(s *snowflakeOptions) { s.workerBits = n })
}

func newSnowflakeOptions(name string, opts []SnowflakeOption) (snowflakeOptions, error) {
	s := snowflakeOptions{name: name, prefix: DefaultKeyPrefix,
		window: DefaultWindow, skew: DefaultSkew, workerBits: DefaultWorkerBits}
	for _, o := range opts {
		if o != nil {
			o.applySnowflake(&s)
		}
	}
	var f optionFaults
	f.names(s.name, s.prefix)
	f.unless(!s.epoch.IsZero(), "Epoch is missing")
	f.unless(s.epoch.Nanosecond()%1e6 == 0, "Epoch %v is not a whole millisecond", s.epoch)
	f.unless(milliseconds(s.window, MinWindow, MaxWindow), "Window %v is not %v to %v in whole milliseconds", s.window, MinWindow, MaxWindow)
	f.unless(milliseconds(s.skew, 0, MaxSkew), "Skew %v is not 0 to %v in whole milliseconds", s.skew, MaxSkew)
	f.unless(1 <= s.workerBits && s.workerBits <= MaxWorkerBits, "WorkerBits %d is not 1 to %d", s.workerBits, MaxWorkerBits)
	if s.clocked {
		f.clock(s.now)
	}
	return s, f.err()
}

// milliseconds tells whether d is a whole number of them within bounds.
func milliseconds(d, least, most time.Duration) bool {
	return least <= d && d <= most && d%time.Millisecond == 0
}

// layout is the record in Redis that all processes compare with theirs: what
// gives a number its meaning, and the window, on which the distance between two
// holders of a worker number rests.
func (s *snowflakeOptions) layout() string {
	return fmt.Sprintf("%d.%d.%d epoch=%d window=%d", timeBits, s.workerBits, sharedBits-s.workerBits,
		s.epoch.UnixMilli(), s.window.Milliseconds())
}

func (s *snowflakeOptions) ttl() time.Duration { return 3 * s.window }

func (s *snowflakeOptions) key() string { return s.prefix + ":snowflake:{" + s.name + "}" }
