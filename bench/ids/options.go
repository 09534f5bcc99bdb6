package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"time"
)

// options are the command's flags.
type options struct {
	cases, contenders *regexp.Regexp
	time, sustain     time.Duration
	rounds            int
	markdown, json    string
}

// parseOptions reads the flags. It has told about an error, with the usage, on
// stderr.
func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("ids", flag.ContinueOnError)
	flags.SetOutput(stderr)
	pattern := func(name, usage string) *string {
		return flags.String(name, "", "only those that match this regular `expression`: "+usage)
	}
	cases := pattern("case", "names such as \"single\" or \"sustained, 4 callers\"")
	contenders := pattern("contender", "names such as \"idgen Snowflake\" or \"ulid\"")
	flags.DurationVar(&o.time, "time", 250*time.Millisecond, "how long a contender is measured in a round of a case")
	flags.DurationVar(&o.sustain, "sustain", 3*time.Second, "and in a round of the cases of sustained rates")
	flags.IntVar(&o.rounds, "rounds", 6, "run the contenders of a case this many times, in turn, and show medians")
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
	if o.time <= 0 || o.sustain <= 0 {
		bad("-time and -sustain must be positive")
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
		if o.cases.MatchString(s.Name) && len(o.contendersFor(s)) > 0 {
			some = append(some, s)
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

// timeOf is how long a contender is measured in a round of a case.
func (o *options) timeOf(s scenario) time.Duration {
	if s.Sustained {
		return o.sustain
	}
	return o.time
}

// String is for the report.
func (o *options) String() string {
	return fmt.Sprintf("medians of %d rounds, %v for each contender in each (%v of the sustained rates)", o.rounds, o.time, o.sustain)
}
