// Jaegercheck shows the traces of examples/tracing to a real Jaeger and asks its
// query API whether a wait can be read there: `make jaeger`.
//
// It builds Jaeger from its Go module when it has not yet, which takes minutes and
// some gigabytes of Go's build cache; runs it with all its ports on 127.0.0.1; and
// ends it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/latchkey-go/latchkey/examples/internal/demo"
)

func run(ctx context.Context, args []string, out io.Writer) error {
	set := flag.NewFlagSet("jaegercheck", flag.ContinueOnError)
	set.SetOutput(out)
	example := set.String("example", "", "the `program` examples/tracing (needed)")
	answers := set.String("json", "", "keep Jaeger's answers in this `file`")
	if err := set.Parse(args); err != nil {
		return err
	}
	if *example == "" {
		return errors.New("-example is missing; make jaeger gives it")
	}
	binary, err := buildJaeger(ctx, out)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	j, err := startJaeger(ctx, binary)
	if err != nil {
		return err
	}
	defer j.stop()
	fmt.Fprintf(out, "== Jaeger %s runs at %s\n", version, j.query)

	tell := exec.CommandContext(ctx, *example, "-otlp", j.otlp)
	tell.Stdout, tell.Stderr = out, out
	if err := tell.Run(); err != nil {
		return fmt.Errorf("the example: %w", err)
	}
	c := &check{query: j.query}
	findings, err := c.wait(ctx)
	if err != nil {
		return err
	}
	fmt.Fprint(out, "== Jaeger says:\n", findings)
	if *answers != "" {
		return os.WriteFile(*answers, c.answers(), 0o644)
	}
	return nil
}

func main() { demo.Main("jaegercheck", run) }
