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

	"github.com/latchkey-go/latchkey/bench/internal/report"
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
		err = r.tell(o, stdout)
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

// tell writes the end of the report, and the files.
func (r *results) tell(o *options, stdout io.Writer) error {
	if _, err := fmt.Fprintf(stdout, "\n%s\n", legend); err != nil {
		return err
	}
	if err := report.ClaimTable(r.Claims).Plain(stdout); err != nil {
		return err
	}
	writeJSON := func(w io.Writer) error { return report.WriteJSON(w, r) }
	return errors.Join(report.Save(o.markdown, r.writeMarkdown), report.Save(o.json, writeJSON))
}
