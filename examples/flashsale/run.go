package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// The exit statuses; see usage.
const (
	exitOK          = 0
	exitFailed      = 1
	exitCannotStart = 2
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// run is the program. It returns its exit status, and does so soon after ctx
// ends. The report goes to stdout; progress and faults go to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parseFlags(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(stderr, "flashsale: %v (-h for help)\n", err)
		return exitCannotStart
	}
	r, err := startRedis(ctx, c.redis)
	if err != nil {
		return fail(ctx, stderr, err)
	}
	defer r.close()
	if c.serve {
		if err := serve(ctx, c, r, stdout, stderr); err != nil {
			return fail(ctx, stderr, err)
		}
		return exitOK
	}
	return runSales(ctx, c, r, stdout, stderr)
}

// fail writes one line, and returns the exit status for err.
func fail(ctx context.Context, stderr io.Writer, err error) int {
	fmt.Fprintln(stderr, "flashsale:", strings.ReplaceAll(err.Error(), "\n", "; "))
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case isStartError(err):
		return exitCannotStart
	default:
		return exitFailed
	}
}

func runSales(ctx context.Context, c config, r *redisServer, stdout, stderr io.Writer) int {
	var results []result
	var trouble error
	for _, m := range c.modes {
		if ctx.Err() != nil || trouble != nil {
			break
		}
		res, err := holdSale(ctx, c, m, r, newProgress(stderr, m, c.buyers))
		if err != nil {
			trouble = err
			break
		}
		res.faults.writeTo(stderr, m)
		results = append(results, res)
		trouble = res.trouble
	}
	writeReport(stdout, r, results)
	status := judge(ctx, results, stdout, stderr)
	if trouble != nil {
		return fail(ctx, stderr, trouble)
	}
	return status
}

// judge returns the exit status. Only Latchkey has made promises; they hold for
// an interrupted sale as well.
func judge(ctx context.Context, results []result, stdout, stderr io.Writer) int {
	for _, res := range results {
		if res.mode != modeLatchkey {
			continue
		}
		broken := res.brokenPromises()
		if ctx.Err() == nil && res.books.Orders == 0 {
			broken = append(broken, "nothing was sold")
		}
		if len(broken) > 0 {
			fmt.Fprintf(stderr, "flashsale: latchkey broke its promises: %s\n", strings.Join(broken, ", "))
			return exitFailed
		}
		fmt.Fprintf(stdout, "\nlatchkey kept its promises: nothing oversold, no order lost, no ID repeated.\n")
	}
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "flashsale: interrupted; the report covers what was sold until then")
		return exitInterrupted
	}
	return exitOK
}
