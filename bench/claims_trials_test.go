package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/report"
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
		"not run": {trialResults{}, "goroutines", report.NotRun},
		"whole allocations count": {trialResults{Allocations: []allocationFigures{
			{Request: requestKinds()[0].name, Bound: 6, Each: 6.9},
		}}, "allocations ≤ 6", report.Pass},
		"an allocation too many": {trialResults{Allocations: []allocationFigures{
			{Request: requestKinds()[0].name, Bound: 6, Each: 7},
		}}, "allocations ≤ 6", report.Fail},
		"the parent's own are left out": {trialResults{Allocations: []allocationFigures{
			{Request: requestKinds()[1].name, Bound: 9, Each: 11.5, Parent: 2, BeyondParent: true},
		}}, "allocations ≤ 9", report.Pass},
		"few goroutines":      {trialResults{Leases: &leases}, "goroutines", report.Pass},
		"many goroutines":     {trialResults{Leases: with(leases, func(f *leaseFigures) { f.Goroutines = 13 })}, "goroutines", report.Fail},
		"small leases":        {trialResults{Leases: &leases}, "heap of each ≤ 1,024 B", report.Pass},
		"large leases":        {trialResults{Leases: with(leases, func(f *leaseFigures) { f.HeapEach = 1025 })}, "heap of each ≤ 1,024 B", report.Fail},
		"little CPU":          {trialResults{Leases: &leases}, "CPU", report.Pass},
		"much CPU":            {trialResults{Leases: with(leases, func(f *leaseFigures) { f.CPU = 0.16 })}, "CPU", report.Fail},
		"no lease lost":       {trialResults{Leases: &leases}, "none lost", report.Pass},
		"a lease lost":        {trialResults{Leases: with(leases, func(f *leaseFigures) { f.Lost = 1 })}, "none lost", report.Fail},
		"small waiters":       {trialResults{Waiters: &waiters}, "heap of each, beyond", report.Pass},
		"large waiters":       {trialResults{Waiters: with(waiters, func(f *waiterFigures) { f.HeapEach = 513 })}, "heap of each, beyond", report.Fail},
		"one entry":           {trialResults{Waiters: &waiters}, "one entry", report.Pass},
		"no entry":            {trialResults{Waiters: with(waiters, func(f *waiterFigures) { f.Entries = 0 })}, "one entry", report.Fail},
		"quickly cancelled":   {trialResults{Waiters: &waiters}, "cancelling", report.Pass},
		"slowly cancelled":    {trialResults{Waiters: with(waiters, func(f *waiterFigures) { f.Cancelling++ })}, "cancelling", report.Fail},
		"granted, not ended":  {trialResults{Waiters: with(waiters, func(f *waiterFigures) { f.Wrong = 1 })}, "cancelling", report.Fail},
		"nothing left":        {trialResults{Waiters: &waiters}, "nothing left", report.Pass},
		"an entry left":       {trialResults{Waiters: with(waiters, func(f *waiterFigures) { f.EntriesLeft = 1 })}, "nothing left", report.Fail},
		"a goroutine left":    {trialResults{Waiters: with(waiters, func(f *waiterFigures) { f.GoroutinesLeft = 1 })}, "nothing left", report.Fail},
		"one left in line":    {trialResults{Waiters: with(waiters, func(f *waiterFigures) { f.InLineLeft = 1 })}, "nothing left", report.Fail},
		"all were woken":      {trialResults{Cuts: []*cutFigures{&cuts}}, "no lost wake-up", report.Pass},
		"one was not":         {trialResults{Cuts: []*cutFigures{with(cuts, func(f *cutFigures) { f.Longest = lostWakeUp })}}, "no lost wake-up", report.Fail},
		"recovered each time": {trialResults{Cuts: []*cutFigures{&cuts}}, "throughput recovers", report.Pass},
		"not each time":       {trialResults{Cuts: []*cutFigures{with(cuts, func(f *cutFigures) { f.Recovered = 4 })}}, "throughput recovers", report.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			claims := (&results{Trials: &c.found}).claims()
			i := slices.IndexFunc(claims, func(one report.Claim) bool {
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
