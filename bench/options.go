package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"time"
)

// defaultPoll is what the flash-sale recipe polls at.
const defaultPoll = time.Millisecond

// options are the command's flags.
type options struct {
	cases, contenders *regexp.Regexp
	time, warmup      time.Duration
	poll              time.Duration
	rounds            int
	leases, waiters   int
	hold, cutting     time.Duration
	markdown, json    string
}

// parseOptions reads the flags. It has told about an error, with the usage, on
// stderr.
func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	pattern := func(name, usage string) *string {
		return flags.String(name, "", "only those that match this regular `expression`: "+usage)
	}
	cases := pattern("case", "names such as \"hot 4×16 1ms\" or \"distinct 64\"")
	contenders := pattern("contender", "names such as \"latchkey\" or \"redsync\"")
	flags.DurationVar(&o.time, "time", time.Second, "how long each contender is measured in each case; half as long on a cluster")
	flags.DurationVar(&o.warmup, "warmup", 400*time.Millisecond, "how long it runs before that; half as long on a cluster")
	flags.DurationVar(&o.poll, "poll", defaultPoll, "how long the peers that poll wait before they ask again")
	flags.IntVar(&o.rounds, "rounds", 1, "run the contenders of a case this many times, in turn, and show medians")
	flags.IntVar(&o.leases, "leases", 100_000, "how many leases the case \"leases\" holds")
	flags.DurationVar(&o.hold, "hold", time.Minute, "and for how long")
	flags.IntVar(&o.waiters, "waiters", 10_000, "how many waiters the case \"waiters\" has")
	flags.DurationVar(&o.cutting, "cuts", 30*time.Second, "for how long the case \"cuts\" cuts subscriptions")
	flags.StringVar(&o.markdown, "md", "", "write a Markdown `file`")
	flags.StringVar(&o.json, "json", "", "write a JSON `file`, with all rounds")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if flags.NArg() > 0 {
		bad("unexpected argument %q", flags.Arg(0))
	}
	if o.time <= 0 || o.warmup <= 0 || o.poll <= 0 {
		bad("-time, -warmup and -poll must be positive")
	}
	if o.leases < 1 || o.waiters < 1 || o.hold <= 0 || o.cutting < 2*cutEvery {
		bad("-leases, -waiters and -hold must be positive, and -cuts at least %v", 2*cutEvery)
	}
	if o.rounds < 1 {
		bad("-rounds %d is less than one", o.rounds)
	}
	var err error
	if o.cases, err = regexp.Compile(*cases); err != nil {
		bad("-case: %w", err)
	}
	if o.contenders, err = regexp.Compile(*contenders); err != nil {
		bad("-contender: %w", err)
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(stderr, err)
		flags.Usage()
		return nil, err
	}
	return o, nil
}

// scenarios are those that are asked for.
func (o *options) scenarios() []scenario {
	var some []scenario
	for _, s := range scenarios() {
		if o.cases.MatchString(s.Name) {
			some = append(some, s)
		}
	}
	return some
}

// trials are those that are asked for.
func (o *options) trials() []trial {
	var some []trial
	for _, t := range trials() {
		if o.cases.MatchString(t.name) && o.contenders.MatchString(nameLatchkey) {
			some = append(some, t)
		}
	}
	return some
}

// contendersFor are those that are asked for and fit.
func (o *options) contendersFor(s scenario) []contender {
	var some []contender
	for _, c := range contenders() {
		if c.fits(s) && o.contenders.MatchString(c.name) {
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
	return fmt.Sprintf("%v for each contender and case after %v (on a cluster half as long), polls each %v, rounds: %d", o.time, o.warmup, o.poll, o.rounds)
}
