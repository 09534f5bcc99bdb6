package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestClaimsOfTrials(t *testing.T) {
	leases := leaseFigures{Leases: 7, Hold: time.Second, Goroutines: 12, HeapEach: 1024, CPU: 0.15}
	waiters := waiterFigures{Waiters: 7, HeapEach: 512, Entries: 1, Cancelling: 100 * time.Millisecond}
	cuts := cutFigures{
		Contender: nameTenure0, Figures: &figures{Acquired: 1}, Longest: time.Second,
		recovery: recovery{Cuts: 5, Recovered: 5},
	}
	for name, c := range map[string]struct {
		found  trialResults
		figure string // the beginning of what is claimed
		want   string
	}{
		"not run": {trialResults{}, "goroutines", notRun},
		"whole allocations count": {trialResults{Allocations: []allocationFigures{
			{Request: requestKinds()[0].name, Bound: 6, Each: 6.9},
		}}, "allocations ≤ 6", pass},
		"an allocation too many": {trialResults{Allocations: []allocationFigures{
			{Request: requestKinds()[0].name, Bound: 6, Each: 7},
		}}, "allocations ≤ 6", fail},
		"the parent's own are left out": {trialResults{Allocations: []allocationFigures{
			{Request: requestKinds()[1].name, Bound: 9, Each: 11.5, Parent: 2, BeyondParent: true},
		}}, "allocations ≤ 9", pass},
		"few goroutines":      {trialResults{Leases: &leases}, "goroutines", pass},
		"many goroutines":     {trialResults{Leases: with(leases, func(f *leaseFigures) { f.Goroutines = 13 })}, "goroutines", fail},
		"small leases":        {trialResults{Leases: &leases}, "heap of each ≤ 1,024 B", pass},
		"large leases":        {trialResults{Leases: with(leases, func(f *leaseFigures) { f.HeapEach = 1025 })}, "heap of each ≤ 1,024 B", fail},
		"little CPU":          {trialResults{Leases: &leases}, "CPU", pass},
		"much CPU":            {trialResults{Leases: with(leases, func(f *leaseFigures) { f.CPU = 0.16 })}, "CPU", fail},
		"no lease lost":       {trialResults{Leases: &leases}, "none lost", pass},
		"a lease lost":        {trialResults{Leases: with(leases, func(f *leaseFigures) { f.Lost = 1 })}, "none lost", fail},
		"small waiters":       {trialResults{Waiters: &waiters}, "heap of each, beyond", pass},
		"large waiters":       {trialResults{Waiters: with(waiters, func(f *waiterFigures) { f.HeapEach = 513 })}, "heap of each, beyond", fail},
		"one entry":           {trialResults{Waiters: &waiters}, "one entry", pass},
		"no entry":            {trialResults{Waiters: with(waiters, func(f *waiterFigures) { f.Entries = 0 })}, "one entry", fail},
		"quickly cancelled":   {trialResults{Waiters: &waiters}, "cancelling", pass},
		"slowly cancelled":    {trialResults{Waiters: with(waiters, func(f *waiterFigures) { f.Cancelling++ })}, "cancelling", fail},
		"granted, not ended":  {trialResults{Waiters: with(waiters, func(f *waiterFigures) { f.Wrong = 1 })}, "cancelling", fail},
		"nothing left":        {trialResults{Waiters: &waiters}, "nothing left", pass},
		"an entry left":       {trialResults{Waiters: with(waiters, func(f *waiterFigures) { f.EntriesLeft = 1 })}, "nothing left", fail},
		"a goroutine left":    {trialResults{Waiters: with(waiters, func(f *waiterFigures) { f.GoroutinesLeft = 1 })}, "nothing left", fail},
		"one left in line":    {trialResults{Waiters: with(waiters, func(f *waiterFigures) { f.InLineLeft = 1 })}, "nothing left", fail},
		"all were woken":      {trialResults{Cuts: []*cutFigures{&cuts}}, "no lost wake-up", pass},
		"one was not":         {trialResults{Cuts: []*cutFigures{with(cuts, func(f *cutFigures) { f.Longest = lostWakeUp })}}, "no lost wake-up", fail},
		"recovered each time": {trialResults{Cuts: []*cutFigures{&cuts}}, "throughput recovers", pass},
		"not each time":       {trialResults{Cuts: []*cutFigures{with(cuts, func(f *cutFigures) { f.Recovered = 4 })}}, "throughput recovers", fail},
	} {
		t.Run(name, func(t *testing.T) {
			claims := (&results{Trials: &c.found}).claims()
			i := slices.IndexFunc(claims, func(one claim) bool {
				return strings.HasPrefix(one.Want, c.figure) && !strings.HasSuffix(one.Row, ", "+nameLatchkey)
			})
			if i < 0 {
				t.Fatalf("nothing is claimed like %q: %+v", c.figure, claims)
			}
			if got := claims[i].Verdict; got != c.want {
				t.Errorf("%+v; want %s", claims[i], c.want)
			}
		})
	}
}

// with is a changed copy.
func with[T any](f T, change func(*T)) *T {
	change(&f)
	return &f
}

func TestATrialThatFailsFailsTheCommand(t *testing.T) {
	r := &results{Trials: &trialResults{Failures: []trialFailure{{"leases", "no report"}}}}
	var out, complaints strings.Builder
	if got := r.conclude(&options{}, &out, &complaints); got != 1 || !strings.Contains(complaints.String(), "leases: no report") {
		t.Errorf("exit code %d, with %q", got, complaints.String())
	}
	r.Trials = &trialResults{Cuts: []*cutFigures{{Contender: nameLatchkey, Figures: &figures{Overlaps: 1}}}}
	if got := r.conclude(&options{}, &out, &complaints); got != 1 || !strings.Contains(complaints.String(), "two holders") {
		t.Errorf("exit code %d, with %q", got, complaints.String())
	}
}
