package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	// On a busy machine somebody may get nothing in a short time: then all have more.
	for _, times := range []time.Duration{1, 4, 16} {
		idle := idleIn(t, measured(t, times))
		if len(idle) == 0 {
			return
		}
		t.Logf("in %d times the shortest run, nothing was acquired: %q", times, idle)
	}
	t.Error("some acquire nothing")
}

// measured runs the command, for so many times as long as is enough on a machine at
// rest, and returns its results.
func measured(t *testing.T, times time.Duration) *results {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "results.json")
	long := func(d time.Duration) string { return (times * d).String() }
	var stdout, stderr strings.Builder
	args := []string{"-case", "^(distinct 16|cluster distinct 64|hot 1×64 0ms|hot 4×16 1ms|allocations|waiters|leases|cuts)$",
		"-time", long(120 * time.Millisecond), "-warmup", long(60 * time.Millisecond), "-cuts", long(400 * time.Millisecond),
		"-leases", "500", "-hold", "200ms", "-waiters", "200",
		"-json", file, "-md", filepath.Join(dir, "results.md")}
	if code := run(t.Context(), args, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := new(results)
	if err := json.Unmarshal(text, r); err != nil {
		t.Fatal(err)
	}
	return r
}

// idleIn returns who has acquired nothing, and where. It fails the test if results
// cannot be.
func idleIn(t *testing.T, r *results) (idle []string) {
	t.Helper()
	if len(r.Cases) != 4 {
		t.Fatalf("%d cases; want 4", len(r.Cases))
	}
	if err := r.Trials.plausible(); err != nil {
		t.Error(err)
	}
	for _, f := range r.Trials.Cuts {
		if f.Figures.Acquired == 0 || f.Cuts == 0 || f.Killed == 0 || f.Quiet == 0 || f.Longest == 0 {
			idle = append(idle, fmt.Sprintf("cuts: %+v, %+v", *f, *f.Figures))
		}
	}
	for _, c := range contenders() {
		acquired := 0
		for _, one := range r.Cases {
			if !c.fits(one.Scenario) {
				continue
			}
			f := r.of(one.Scenario.Name, c.name)
			if f != nil && f.Acquired > 0 && c.kind == ours && (f.Commands == 0 || f.Trips == 0) {
				// All of it was passed on within the process, on a busy machine.
				idle = append(idle, c.name+" in "+one.Scenario.Name+", without Redis")
				acquired += f.Acquired
				continue
			}
			if err := plausible(f, c); err != nil {
				t.Errorf("%s, %s: %v", one.Scenario.Name, c.name, err)
				continue
			}
			acquired += f.Acquired
			if f.Acquired == 0 && c.kind == ours {
				idle = append(idle, c.name+" in "+one.Scenario.Name)
			}
		}
		// In one case alone it may be nothing: 64 callers who poll on a busy
		// machine can keep the holder from giving the key back.
		if acquired == 0 {
			idle = append(idle, c.name)
		}
	}
	return idle
}

// plausible says what figures cannot be.
func plausible(f *figures, c contender) error {
	switch {
	case f == nil:
		return fmt.Errorf("no figures")
	case f.Overlaps > 0 || f.Errors > 0:
		return fmt.Errorf("%d overlaps, %d errors: %s", f.Overlaps, f.Errors, f.Error)
	case f.Acquired == 0:
		return nil
	case f.Rate == 0:
		return fmt.Errorf("no rate")
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
		if f.Figures.Overlaps > 0 || f.Figures.Errors > 0 {
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
