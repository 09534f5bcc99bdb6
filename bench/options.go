package main

import (
	"fmt"
	"io"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/selection"
)

// defaultPoll is what the flash-sale recipe polls at.
const defaultPoll = time.Millisecond

// options are the command's flags.
type options struct {
	selection.Selection
	time, warmup    time.Duration
	poll            time.Duration
	leases, waiters int
	hold, cutting   time.Duration
}

// parseOptions reads the flags. It has told about an error, with the usage, on
// stderr.
func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := selection.NewFlags("bench", &o.Selection, 1, "\"hot 4×16 1ms\" or \"distinct 64\"", "\"latchkey\" or \"redsync\"", stderr)
	flags.DurationVar(&o.time, "time", time.Second, "how long each contender is measured in each case; half as long on a cluster")
	flags.DurationVar(&o.warmup, "warmup", 400*time.Millisecond, "how long it runs before that; half as long on a cluster")
	flags.DurationVar(&o.poll, "poll", defaultPoll, "how long the peers that poll wait before they ask again")
	flags.IntVar(&o.leases, "leases", 100_000, "how many leases the case \"leases\" holds")
	flags.DurationVar(&o.hold, "hold", time.Minute, "and for how long")
	flags.IntVar(&o.waiters, "waiters", 10_000, "how many waiters the case \"waiters\" has")
	flags.DurationVar(&o.cutting, "cuts", 30*time.Second, "for how long the case \"cuts\" cuts subscriptions")
	err := flags.ParseAll(args, func() {
		flags.Bad(o.time <= 0 || o.warmup <= 0 || o.poll <= 0, "-time, -warmup and -poll must be positive")
		flags.Bad(o.leases < 1 || o.waiters < 1 || o.hold <= 0 || o.cutting < 2*cutEvery,
			"-leases, -waiters and -hold must be positive, and -cuts at least %v", 2*cutEvery)
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

// scenarios are those that are asked for.
func (o *options) scenarios() []scenario {
	var some []scenario
	for _, s := range scenarios() {
		if o.Cases.MatchString(s.Name) {
			some = append(some, s)
		}
	}
	return some
}

// trials are those that are asked for.
func (o *options) trials() []trial {
	var some []trial
	for _, t := range trials() {
		if o.Cases.MatchString(t.name) && o.Contenders.MatchString(nameLatchkey) {
			some = append(some, t)
		}
	}
	return some
}

// contendersFor are those that are asked for and fit.
func (o *options) contendersFor(s scenario) []contender {
	var some []contender
	for _, c := range contenders() {
		if c.fits(s) && o.Contenders.MatchString(c.name) {
			some = append(some, c)
		}
	}
	return some
}

// timeOf is how long a contender is measured in a case. On a cluster it is half
// as long, so that all takes less than five minutes.
func (o *options) timeOf(s scenario) time.Duration { return o.time / s.haste() }

// warmupOf is how long it runs before that.
func (o *options) warmupOf(s scenario) time.Duration { return o.warmup / s.haste() }

// String is for the report.
func (o *options) String() string {
	return fmt.Sprintf("%v for each contender and case after %v (on a cluster half as long), polls each %v, rounds: %d", o.time, o.warmup, o.poll, o.Rounds)
}
