// Command campaign runs all scenarios that try to make two holders of one lock:
// those of this module, and the tests of other packages that are scenarios, too.
// It prints a table, writes all numbers as JSON, and its last line is
//
//	N passed, N failed
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/torture/tally"
)

func main() {
	var c campaign
	budget := flag.Duration("budget", fullTime, "how long it may take, on two cores; less than the default does a share of everything")
	flag.Uint64Var(&c.seed, "seed", 0, "replay this one seed of simulated time, and nothing else")
	only := flag.String("only", "", "only steps whose name matches this expression")
	out := flag.String("out", "torture.json", "the file to write the numbers to")
	flag.Parse()
	c.share = min(1, budget.Seconds()/fullTime.Seconds())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed, err := c.run(ctx, *only, *out)
	if err != nil {
		fmt.Fprintln(os.Stderr, "campaign:", err)
	}
	if err != nil || failed > 0 {
		os.Exit(1)
	}
}

// campaign is what has come out so far.
type campaign struct {
	share  float64
	seed   uint64
	dir    string // of the binary, the totals and the output of each step
	totals string

	Share   float64        `json:"share"`
	Begun   time.Time      `json:"begun"`
	Seconds float64        `json:"seconds"`
	All     tally.Totals   `json:"all"` // of this module's scenarios
	Each    []tally.Totals `json:"scenarios"`
	Steps   []outcome      `json:"steps"`
}

// outcome is what a step came to.
type outcome struct {
	Name    string  `json:"name"`
	Failed  bool    `json:"failed"`
	Seconds float64 `json:"seconds"`
	// Said is what its tests have told, if they are not this module's: those write
	// their totals.
	Said []string `json:"said,omitempty"`
	own  bool
}

// run tells how many scenarios have failed.
func (c *campaign) run(ctx context.Context, only, out string) (failed int, err error) {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return 0, err
	}
	if c.dir, err = os.MkdirTemp("", "latchkey-torture-"); err != nil {
		return 0, err
	}
	c.totals = filepath.Join(c.dir, "totals")
	if err := os.Mkdir(c.totals, 0o755); err != nil {
		return 0, err
	}
	c.Begun, c.Share = time.Now(), c.share
	if err := c.command(ctx, os.Stderr, "go", "test", "-c", "-vet=off", "-o", c.binary(), "./core/internal/torture"); err != nil {
		return 0, err
	}
	for _, s := range steps(c.share, c.seed) {
		if pattern.MatchString(s.name) {
			c.Steps = append(c.Steps, c.do(ctx, s))
		}
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
	}
	if len(c.Steps) == 0 {
		return 0, fmt.Errorf("no step matches %q", only)
	}
	if c.Each, err = tally.Load(c.totals); err != nil {
		return 0, err
	}
	c.sum()
	c.Seconds = time.Since(c.Begun).Seconds()
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(out, append(text, '\n'), 0o666); err != nil {
		return 0, err
	}
	passed, failed := c.print()
	if failed == 0 {
		_ = os.RemoveAll(c.dir)
	} else {
		fmt.Println("The output of all steps is in", c.dir)
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	return failed, nil
}

func (c *campaign) binary() string { return filepath.Join(c.dir, "torture.test") }

// do runs a step, with its output in a file of its own.
func (c *campaign) do(ctx context.Context, s step) outcome {
	begun := time.Now()
	fmt.Fprintln(os.Stderr, "==", s.name)
	o := outcome{Name: s.name, own: s.own}
	log, err := os.Create(filepath.Join(c.dir, strings.ReplaceAll(s.name, " ", "-")+".log"))
	if err == nil {
		err = errors.Join(c.command(ctx, log, s.command...), log.Close())
		text, unread := os.ReadFile(log.Name())
		if strings.Contains(string(text), "no tests to run") {
			unread = errors.New("there is no such test")
		}
		err = errors.Join(err, unread)
		if !s.own {
			o.Said = said(string(text))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAILED:", err)
	}
	o.Failed, o.Seconds = err != nil, time.Since(begun).Seconds()
	return o
}

// command runs one, in the folder where the campaign was started.
func (c *campaign) command(ctx context.Context, out *os.File, args ...string) error {
	replace := strings.NewReplacer("{torture}", c.binary(), "{totals}", c.totals)
	for i := range args {
		args[i] = replace.Replace(args[i])
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "LATCHKEY_REQUIRE_REDIS=1")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// sum adds up what this module's scenarios came to.
func (c *campaign) sum() {
	c.All = tally.Totals{Scenario: "all", Faults: tally.Counts{}}
	for _, t := range c.Each {
		c.All.Seeds += t.Seeds
		c.All.Attempts += t.Attempts
		c.All.Grants += t.Grants
		c.All.Faults.Add(t.Faults)
		c.All.Ambiguous += t.Ambiguous
		c.All.Doubles += t.Doubles
		c.All.Refused += t.Refused
		c.All.Accepted += t.Accepted
		c.All.Lost += t.Lost
		c.All.Violations = append(c.All.Violations, t.Violations...)
	}
}

// print prints the table and returns how many scenarios have passed: each of this
// module, and each other step.
func (c *campaign) print() (passed, failed int) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "scenario\tseeds\tattempts\tgrants\tfaults\tkinds\tambiguous\tdouble grants\tstale refused\taccepted\tlost by the twin\tviolations\tseconds")
	violated := 0
	for _, t := range append(c.Each, c.All) {
		name := t.Scenario
		if t.Unsafe {
			name += " (declared unsafe)"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.0f\n", name, t.Seeds, t.Attempts, t.Grants,
			t.Faults.Sum(), len(t.Faults), t.Ambiguous, t.Doubles, t.Refused, t.Accepted, t.Lost, len(t.Violations), t.Seconds)
	}
	_ = w.Flush()
	for _, t := range c.Each {
		if len(t.Violations) == 0 {
			passed++
			continue
		}
		failed++
		violated++
		for _, v := range t.Violations[:min(5, len(t.Violations))] {
			fmt.Printf("%s: VIOLATION %s\n", t.Scenario, v)
		}
	}
	for _, s := range c.Steps {
		fmt.Printf("%s: %s, %.0f s\n", s.Name, map[bool]string{false: "passed", true: "failed"}[s.Failed], s.Seconds)
		for _, line := range s.Said {
			fmt.Println("    " + line)
		}
		switch {
		case s.own && (!s.Failed || violated > 0): // its scenarios were counted
		case s.Failed:
			failed++
		default:
			passed++
		}
	}
	return passed, failed
}
