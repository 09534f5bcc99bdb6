package main

import (
	"context"
	"os"
	"path/filepath"
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
