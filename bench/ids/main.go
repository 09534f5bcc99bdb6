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
	r, err := measure(ctx, o, stdout)
	if err == nil {
		err = r.document().Conclude(stdout, o.Markdown, o.JSON, r)
	}
	if err != nil {
		fmt.Fprintln(stderr, "ids:", err)
		return 1
	}
	failures := r.failures()
	for _, f := range failures {
		fmt.Fprintln(stderr, "ids:", f)
	}
	if len(failures) > 0 {
		return 1
	}
	return 0
}
