package main

import (
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/report"
)

// The trials' bounds; those of allocations are with the kinds of request.
const (
	maxLeaseGoroutines = 12
	maxLeaseHeap       = 1 << 10 // bytes
	maxLeaseCPU        = 0.15    // cores
	maxWaiterHeap      = 512     // bytes
	maxCancelling      = 100 * time.Millisecond
)

// trials claims what the trials must show.
func (c *claimant) trials() {
	r := c.results.Trials
	if r == nil {
		r = &trialResults{}
	}
	c.row = "a handoff, context and observer in place"
	for _, k := range requestKinds() {
		c.allocations(k, r.Allocations)
	}
	c.leases(r.Leases)
	c.waiters(r.Waiters)
	for _, name := range []string{nameLatchkey, nameTenure0} {
		c.cuts(name, r.Cuts)
	}
}

func (c *claimant) allocations(k requestKind, all []allocationFigures) {
	want := fmt.Sprintf("allocations ≤ %v with %s", k.bound, k.name)
	if k.beyondParent {
		want += ", beyond the parent's own"
	}
	var f *allocationFigures
	for i := range all {
		if all[i].Request == k.name {
			f = &all[i]
		}
	}
	c.add(want, f != nil, func() (string, bool) {
		return fmt.Sprintf("%d (on average %.2f)", f.whole(), f.counted()), float64(f.whole()) <= k.bound
	})
}

func (c *claimant) leases(f *leaseFigures) {
	ran := f != nil
	if !ran {
		f = &leaseFigures{Leases: 100_000, Hold: time.Minute}
	}
	c.row = fmt.Sprintf("%s leases held for %v by one process, TTL %v", report.Count(float64(f.Leases)), f.Hold, leaseTTL)
	c.add(fmt.Sprintf("goroutines ≤ %d", maxLeaseGoroutines), ran, func() (string, bool) {
		return fmt.Sprint(f.Goroutines), f.Goroutines <= maxLeaseGoroutines
	})
	c.add(fmt.Sprintf("heap of each ≤ %s", report.InBytes(maxLeaseHeap)), ran, func() (string, bool) {
		return fmt.Sprintf("%s (%s with its context)", report.InBytes(f.HeapEach), report.InBytes(f.HeapContextEach)), f.HeapEach <= maxLeaseHeap
	})
	c.add(fmt.Sprintf("CPU ≤ %s of a core", report.Percent(maxLeaseCPU)), ran, func() (string, bool) {
		return report.Percent(f.CPU), f.CPU <= maxLeaseCPU
	})
	c.add("none lost", ran, func() (string, bool) { return fmt.Sprint(f.Lost), f.Lost == 0 })
}

func (c *claimant) waiters(f *waiterFigures) {
	ran := f != nil
	if !ran {
		f = &waiterFigures{Waiters: 10_000}
	}
	c.row = fmt.Sprintf("%s waiters on one key in one process", report.Count(float64(f.Waiters)))
	c.add(fmt.Sprintf("heap of each, beyond its goroutine ≤ %s", report.InBytes(maxWaiterHeap)), ran, func() (string, bool) {
		return report.InBytes(f.HeapEach), f.HeapEach <= maxWaiterHeap
	})
	c.add("one entry in Redis", ran, func() (string, bool) { return fmt.Sprint(f.Entries), f.Entries == 1 })
	c.add(fmt.Sprintf("cancelling all of them ≤ %v", maxCancelling), ran, func() (string, bool) {
		return fmt.Sprintf("%s (bare goroutines: %s)", report.Short(f.Cancelling), report.Short(f.Bare)), f.Cancelling <= maxCancelling && f.Wrong == 0
	})
	c.add("nothing left of them", ran, func() (string, bool) { return f.leftovers(), f.leftovers() == "nothing" })
}

func (c *claimant) cuts(contender string, all []*cutFigures) {
	c.row = fmt.Sprintf("subscriptions cut every %v under load, %s", cutEvery, contender)
	var f *cutFigures
	for _, one := range all {
		if one.Contender == contender {
			f = one
		}
	}
	c.add(fmt.Sprintf("no lost wake-up: longest wait < %s, a third of the TTL", report.Short(lostWakeUp)), f != nil && f.Figures.Acquired > 0, func() (string, bool) {
		return report.Short(f.Longest), f.Longest < lostWakeUp && f.Figures.Errors == 0
	})
	c.add(fmt.Sprintf("throughput recovers after each: ≥ %s of that without cuts before the next one", report.Percent(recovered)), f != nil && f.Cuts > 0, func() (string, bool) {
		return fmt.Sprintf("%d of %d, within %s; on median %s", f.Recovered, f.Cuts, report.Short(f.Slowest), report.Percent(f.Median)), f.Recovered == f.Cuts
	})
}
