package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/bench/internal/redisserver"
)

// TestMain lets the test binary be the worker that the command starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == workerArg {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestTheCommandMeasuresEveryContender(t *testing.T) {
	redisserver.Need(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "results.json")
	var stdout, stderr strings.Builder
	args := []string{"-case", "^(distinct 16|cluster distinct 64|hot 1×64 0ms|hot 4×16 1ms|allocations|waiters|leases|cuts)$", "-time", "120ms", "-warmup", "60ms",
		"-leases", "500", "-hold", "200ms", "-waiters", "200", "-cuts", "400ms",
		"-json", file, "-md", filepath.Join(dir, "results.md")}
	if code := run(t.Context(), args, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r results
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Cases) != 4 {
		t.Fatalf("%d cases; want 4", len(r.Cases))
	}
	if err := r.Trials.plausible(); err != nil {
		t.Error(err)
	}
	for _, want := range contenders() {
		acquired := 0
		for _, c := range r.Cases {
			if !want.fits(c.Scenario) {
				continue
			}
			f := r.of(c.Scenario.Name, want.name)
			if err := plausible(f, want); err != nil {
				t.Errorf("%s, %s: %v", c.Scenario.Name, want.name, err)
			} else {
				acquired += f.Acquired
			}
		}
		// In one case alone it may be nothing: 64 callers who poll on a busy
		// machine can keep the holder from giving the key back.
		if acquired == 0 {
			t.Errorf("%s acquired nothing", want.name)
		}
	}
}

// plausible says what figures cannot be.
func plausible(f *figures, c contender) error {
	switch {
	case f == nil:
		return fmt.Errorf("no figures")
	case f.Overlaps > 0 || f.Errors > 0:
		return fmt.Errorf("%d overlaps, %d errors: %s", f.Overlaps, f.Errors, f.Error)
	case f.Acquired == 0 && c.kind != ours:
		return nil
	case f.Acquired == 0 || f.Rate == 0:
		return fmt.Errorf("nothing was acquired")
	case f.WaitP50 > f.WaitP99 || f.WaitP99 > f.WaitMax || f.WaitMax == 0 || f.CycleP50 == 0:
		return fmt.Errorf("waits of %v, %v, %v", f.WaitP50, f.WaitP99, f.WaitMax)
	case f.RedisCPU == 0 && c.kind != reference:
		return fmt.Errorf("no CPU time of Redis")
	case f.CPU == 0 && c.kind != reference:
		return fmt.Errorf("no CPU time")
	case c.kind != reference && (f.Commands == 0 || f.Trips == 0):
		return fmt.Errorf("%v commands, %v trips", f.Commands, f.Trips)
	}
	return nil
}

// plausible says what a trial cannot have found.
func (r *trialResults) plausible() error {
	switch l, w := r.Leases, r.Waiters; {
	case l == nil || w == nil || len(r.Allocations) != len(requestKinds()) || len(r.Cuts) != 2 || len(r.Failures) > 0:
		return fmt.Errorf("not every trial has run: %+v", *r)
	case l.Leases != 500 || l.Lost > 0 || l.Errors > 0 || l.Goroutines == 0 || l.HeapEach <= 0 || l.HeapContextEach <= l.HeapEach:
		return fmt.Errorf("leases: %+v", *l)
	case w.Waiters != 200 || w.Entries != 1 || w.Wrong > 0 || w.HeapEach <= 0 || w.Cancelling == 0 || w.leftovers() != "nothing":
		return fmt.Errorf("waiters: %+v", *w)
	}
	for _, f := range r.Allocations {
		if f.Each < 1 || f.Local < 0.5 {
			return fmt.Errorf("allocations: %+v", f)
		}
	}
	for _, f := range r.Cuts {
		if f.Figures.Acquired == 0 || f.Figures.Overlaps > 0 || f.Figures.Errors > 0 || f.Cuts == 0 || f.Killed == 0 || f.Quiet == 0 || f.Longest == 0 {
			return fmt.Errorf("cuts: %+v, %+v", *f, *f.Figures)
		}
	}
	return nil
}

func TestACaseThatDoesNotExistIsAnError(t *testing.T) {
	var stderr strings.Builder
	if code := run(t.Context(), []string{"-case", "nothing"}, &stderr, &stderr); code != 1 || !strings.Contains(stderr.String(), "nothing") {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
}
