package main

import (
	"fmt"
	"io"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/selection"
)

// options are the command's flags.
type options struct {
	selection.Selection
	time, sustain time.Duration
}

// parseOptions reads the flags. It has told about an error, with the usage, on
// stderr.
func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := selection.NewFlags("ids", &o.Selection, 6, "\"single\" or \"sustained, 4 callers\"", "\"idgen Snowflake\" or \"ulid\"", stderr)
	flags.DurationVar(&o.time, "time", 250*time.Millisecond, "how long a contender is measured in a round of a case")
	flags.DurationVar(&o.sustain, "sustain", 3*time.Second, "and in a round of the cases of sustained rates")
	err := flags.ParseAll(args, func() {
		flags.Bad(o.time <= 0 || o.sustain <= 0, "-time and -sustain must be positive")
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
		if o.Cases.MatchString(s.Name) && len(o.contendersFor(s)) > 0 {
			some = append(some, s)
		}
	}
	return some
}

// doubling tells whether that case is asked for.
func (o *options) doubling() bool {
	return o.Cases.MatchString(doubling) && o.Contenders.MatchString(nameSequence)
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

// timeOf is how long a contender is measured in a round of a case.
func (o *options) timeOf(s scenario) time.Duration {
	if s.Sustained {
		return o.sustain
	}
	return o.time
}

// String is for the report.
func (o *options) String() string {
	return fmt.Sprintf("medians of %d rounds, %v for each contender in each (%v of the sustained rates)", o.Rounds, o.time, o.sustain)
}
