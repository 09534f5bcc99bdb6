// Command campaign runs all scenarios that try to make two holders of one lock:
// those of this module, and the tests of other packages that are scenarios, too.
// It prints a table, writes all numbers as JSON, and its last line is
//
//	N passed, N failed
package main

import (
	"cmp"
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
	"slices"
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
	only := flag.String("only", "", "only steps of which this expression is the name or a word of it, such as S13")
	out := flag.String("out", "", "the file to write the numbers to (default torture.json for all of the campaign, torture-part.json for less)")
	flag.Parse()
	c.share, c.limit = min(1, budget.Seconds()/fullTime.Seconds()), limit(*budget)
	c.full = c.share == 1 && *only == "" && c.seed == 0
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, c.limit, fmt.Errorf("it has taken more than %v", c.limit))
	defer cancel()
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
	limit  time.Duration
	seed   uint64
	full   bool   // it is to do everything
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
	// their totals. For the floors, what is missing.
	Said   []string `json:"said,omitempty"`
	leaves []string
}

// run tells how many scenarios have failed.
func (c *campaign) run(ctx context.Context, only, out string) (failed int, err error) {
	var pattern *regexp.Regexp
	if only != "" {
		if pattern, err = regexp.Compile("^(?:" + only + ")$"); err != nil {
			return 0, err
		}
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
	c.doAll(ctx, steps(c.share, c.seed, c.limit), pattern)
	if len(c.Steps) == 0 {
		return 0, fmt.Errorf("no step matches %q", only)
	}
	if c.Each, err = tally.Load(c.totals); err != nil {
		return 0, err
	}
	c.sum()
	if c.full {
		short := c.short()
		c.Steps = append(c.Steps, outcome{Name: "floors", Failed: len(short) > 0, Said: short})
	}
	c.Seconds = time.Since(c.Begun).Seconds()
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(cmp.Or(out, c.file(ctx)), append(text, '\n'), 0o666); err != nil {
		return 0, err
	}
	c.print()
	passed, failed := c.score()
	if failed == 0 {
		_ = os.RemoveAll(c.dir)
	} else {
		fmt.Println("The output of all steps is in", c.dir)
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	return failed, context.Cause(ctx)
}

func (c *campaign) binary() string { return filepath.Join(c.dir, "torture.test") }

// file is where the numbers go: a campaign that has done less than everything must
// not replace the numbers of one that has.
func (c *campaign) file(ctx context.Context) string {
	if c.full && ctx.Err() == nil {
		return "torture.json"
	}
	return "torture-part.json"
}

// doAll does the steps that are asked for. Those that are not begun when ctx ends
// have failed: otherwise a campaign that was cut off could end with "0 failed".
func (c *campaign) doAll(ctx context.Context, all []step, only *regexp.Regexp) {
	for _, s := range all {
		switch {
		case !s.matches(only):
		case ctx.Err() != nil:
			c.Steps = append(c.Steps, outcome{Name: s.name + " (not run)", Failed: true, leaves: s.leaves})
		default:
			c.Steps = append(c.Steps, c.do(ctx, s))
		}
	}
}

// do runs a step, with its output in a file of its own.
func (c *campaign) do(ctx context.Context, s step) outcome {
	begun := time.Now()
	fmt.Fprintln(os.Stderr, "==", s.name)
	o := outcome{Name: s.name, leaves: s.leaves}
	log, err := os.Create(filepath.Join(c.dir, strings.ReplaceAll(s.name, " ", "-")+".log"))
	if err == nil {
		err = errors.Join(c.command(ctx, log, s.command...), log.Close())
		text, unread := os.ReadFile(log.Name())
		if strings.Contains(string(text), "no tests to run") {
			unread = errors.New("there is no such test")
		}
		err = errors.Join(err, unread, s.skipped(string(text)), c.missing(s))
		if len(s.leaves) == 0 {
			o.Said = said(string(text))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAILED:", err)
	}
	o.Failed, o.Seconds = err != nil, time.Since(begun).Seconds()
	return o
}

// missing is the totals that a step has not left.
func (c *campaign) missing(s step) error {
	var errs []error
	for _, scenario := range s.leaves {
		if _, err := os.Stat(tally.File(c.totals, scenario)); err != nil {
			errs = append(errs, fmt.Errorf("%s has left no totals: %w", scenario, err))
		}
	}
	if s.seeds > 0 {
		all, err := tally.Load(c.totals)
		errs = append(errs, err)
		for _, t := range all {
			if t.Scenario == simulated && t.Seeds < s.seeds {
				errs = append(errs, fmt.Errorf("%s has done %d seeds of %d", simulated, t.Seeds, s.seeds))
			}
		}
	}
	return errors.Join(errs...)
}

// command runs one, in the folder where the campaign was started, as a group of
// processes: one that is ended must not leave others, which may be stopped.
func (c *campaign) command(ctx context.Context, out *os.File, args ...string) error {
	replace := strings.NewReplacer("{torture}", c.binary(), "{totals}", c.totals)
	for i := range args {
		args[i] = replace.Replace(args[i])
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "LATCHKEY_REQUIRE_REDIS=1", "LATCHKEY_REQUIRE_CURL=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
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

// score is how many scenarios have passed: each of this module, and each other step.
// A step of this module that has failed counts by itself if that is not because of
// what its scenarios found.
func (c *campaign) score() (passed, failed int) {
	violated := map[string]bool{}
	for _, t := range c.Each {
		if violated[t.Scenario] = len(t.Violations) > 0; violated[t.Scenario] {
			failed++
		} else {
			passed++
		}
	}
	for _, s := range c.Steps {
		switch {
		case s.Failed && !slices.ContainsFunc(s.leaves, func(scenario string) bool { return violated[scenario] }):
			failed++
		case !s.Failed && len(s.leaves) == 0:
			passed++
		}
	}
	return passed, failed
}

// print prints the table, what was found, and what the other steps' tests say.
func (c *campaign) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "scenario\tseeds\tattempts\tgrants\tfaults\tkinds\tambiguous\tdouble grants\tstale refused\taccepted\tlost by the twin\tviolations\tseconds")
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
		for _, v := range t.Violations[:min(5, len(t.Violations))] {
			fmt.Printf("%s: VIOLATION %s\n", t.Scenario, v)
		}
	}
	for _, s := range c.Steps {
		fmt.Printf("%s: %s, %.0f s\n", s.Name, map[bool]string{false: "passed", true: "failed"}[s.Failed], s.Seconds)
		for _, line := range s.Said {
			fmt.Println("    " + line)
		}
	}
}
