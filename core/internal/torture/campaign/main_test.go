package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/torture/tally"
)

func TestScore(t *testing.T) {
	fine, bad := tally.Totals{Scenario: "S3"}, tally.Totals{Scenario: "S4", Violations: []string{"O2"}}
	for name, row := range map[string]struct {
		each           []tally.Totals
		steps          []outcome
		passed, failed int
	}{
		"all is well": {
			each: []tally.Totals{fine}, steps: []outcome{{leaves: []string{"S3"}}, {Name: "S9"}}, passed: 2,
		},
		"a violation fails its scenario, not its step again": {
			each: []tally.Totals{fine, bad}, steps: []outcome{{leaves: []string{"S3", "S4"}, Failed: true}}, passed: 1, failed: 1,
		},
		"a step that fails without one counts beside another's": {
			each: []tally.Totals{bad}, steps: []outcome{{leaves: []string{"S3"}, Failed: true}, {leaves: []string{"S4"}, Failed: true}}, failed: 2,
		},
		"a step that was not run is no scenario that has passed": {
			each: []tally.Totals{fine}, steps: []outcome{{leaves: []string{"S3"}}, {Name: "S4 (not run)", leaves: []string{"S4"}, Failed: true}}, passed: 1, failed: 1,
		},
		"another step fails": {steps: []outcome{{Name: "S9", Failed: true}}, failed: 1},
	} {
		c := campaign{Each: row.each, Steps: row.steps}
		if passed, failed := c.score(); passed != row.passed || failed != row.failed {
			t.Errorf("%s: %d passed, %d failed", name, passed, failed)
		}
	}
}

func TestAStepWithoutItsTotalsFails(t *testing.T) {
	c := &campaign{dir: t.TempDir(), totals: t.TempDir()}
	s := step{name: "S3", command: []string{"true"}, leaves: []string{"S3"}}
	if o := c.do(t.Context(), s); !o.Failed {
		t.Error("it has passed")
	}
	if err := (tally.Totals{Scenario: "S3"}).Save(c.totals); err != nil {
		t.Fatal(err)
	}
	if o := c.do(t.Context(), s); o.Failed {
		t.Error("it has failed")
	}
}

// Whoever reads the last line must see that the campaign was cut off.
func TestStepsThatAreNotRunHaveFailed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := t.TempDir()
	c := &campaign{dir: dir, totals: dir, full: true}
	fine := step{name: "S9 first", command: []string{"true"}}
	c.doAll(ctx, []step{fine}, nil)
	if got := c.file(ctx); got != "torture.json" {
		t.Errorf("all was done, and is written to %s", got)
	}
	cancel()
	c.doAll(ctx, []step{{name: "S9 second"}, {name: "S10"}, {name: "S13 S14"}}, regexp.MustCompile("^(?:S9|S14)$"))
	want := []outcome{{Name: "S9 first"}, {Name: "S9 second (not run)", Failed: true}, {Name: "S13 S14 (not run)", Failed: true}}
	same := func(a, b outcome) bool { return a.Name == b.Name && a.Failed == b.Failed }
	if !slices.EqualFunc(c.Steps, want, same) {
		t.Errorf("%+v", c.Steps)
	}
	if passed, failed := c.score(); passed != 1 || failed != 2 {
		t.Errorf("%d passed, %d failed", passed, failed)
	}
	if got := c.file(ctx); got != "torture-part.json" {
		t.Errorf("some were not run, and the others are written to %s", got)
	}
}

func TestOnlyAllOfTheCampaignReplacesItsNumbers(t *testing.T) {
	if got := (&campaign{}).file(t.Context()); got != "torture-part.json" {
		t.Errorf("a part is written to %s", got)
	}
}

func TestAStepOfTooFewSeedsFails(t *testing.T) {
	c := &campaign{dir: t.TempDir(), totals: t.TempDir()}
	if err := (tally.Totals{Scenario: "S1", Seeds: 99}).Save(c.totals); err != nil {
		t.Fatal(err)
	}
	for asked, fails := range map[int]bool{99: false, 100: true} {
		if o := c.do(t.Context(), step{name: "S1", command: []string{"true"}, leaves: []string{"S1"}, seeds: asked}); o.Failed != fails {
			t.Errorf("99 seeds of %d: failed %v", asked, o.Failed)
		}
	}
}

// A test that was skipped has not passed.
func TestAStepThatSkipsATestFails(t *testing.T) {
	c := &campaign{dir: t.TempDir(), totals: t.TempDir()}
	for output, fails := range map[string]bool{
		"--- PASS: TestA (0.00s)":                             false,
		"--- SKIP: TestA (0.00s)":                             true,
		"--- PASS: TestA (0.00s)\n    --- SKIP: TestA/b (0s)": true,
		"--- SKIP: TestOfTheLongForm (0.00s)":                 false,
		"=== RUN   TestA\n    a_test.go:1: it says --- SKIP":  false,
	} {
		s := step{name: "S9", command: []string{"echo", output}, skips: "TestOfTheLongForm"}
		if o := c.do(t.Context(), s); o.Failed != fails {
			t.Errorf("%q: failed %v", output, o.Failed)
		}
	}
}

// What a step has started ends with it, also what is stopped.
func TestAnEndedStepLeavesNoProcess(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "pid")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan outcome)
	c := &campaign{dir: dir}
	go func() {
		done <- c.do(ctx, step{name: "S", command: []string{"sh", "-c", "sleep 100 & kill -STOP $!; echo $! > " + file + "; wait"}})
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	pid := 0
	for pid == 0 {
		select {
		case <-tick.C:
		case o := <-done:
			t.Fatalf("%+v", o)
		}
		if text, err := os.ReadFile(file); err == nil {
			pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		}
	}
	cancel()
	if o := <-done; !o.Failed {
		t.Error("it has passed")
	}
	for begun := time.Now(); syscall.Kill(pid, 0) == nil; <-tick.C {
		// A dead one whom nobody has waited for can be signalled.
		if state, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil && strings.Contains(string(state), ") Z ") {
			break
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("process %d is left", pid)
		}
	}
}
