package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == workerArg {
		if err := runWorker(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench worker:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main with its surroundings; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	r, err := measure(ctx, o, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return r.conclude(o, stdout, stderr)
}

// conclude writes the end of the report and returns the exit code. A figure
// that is missed is a result; two holders of one key, or a contender that could
// not be measured, are failures.
func (r *results) conclude(o *options, stdout, stderr io.Writer) int {
	code := 0
	complain := func(format string, args ...any) {
		fmt.Fprintf(stderr, "bench: "+format+"\n", args...)
		code = 1
	}
	if err := r.document().Conclude(stdout, o.Markdown, o.JSON, r); err != nil {
		complain("%v", err)
	}
	for _, c := range r.Cases {
		for _, o := range c.Outcomes {
			if o.Median != nil && o.Median.Overlaps > 0 {
				complain("%s: %s: two holders of one key were seen, %d times", c.Scenario.Name, o.Contender, o.Median.Overlaps)
			}
			if o.Failure != "" {
				complain("%s: %s: %s", c.Scenario.Name, o.Contender, o.Failure)
			}
		}
	}
	if r.Trials != nil {
		for _, f := range r.Trials.Failures {
			complain("%s: %s", f.Trial, f.Error)
		}
		for _, f := range r.Trials.Cuts {
			if f.Figures.Overlaps > 0 {
				complain("cuts: %s: two holders of one key were seen, %d times", f.Contender, f.Figures.Overlaps)
			}
		}
	}
	return code
}
