package main

import (
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/report"
)

// claimant collects claims.
type claimant struct {
	results *results
	claims  []report.Claim
	row     string
}

// claims are all of them. The best peer is the one with the most acquisitions
// per second in the case, unless the claim is about a wait of Tenure(0): there
// it is the one with the shortest.
func (r *results) claims() []report.Claim {
	const (
		hotOne, hotFour     = "hot 1×64 0ms", "hot 4×16 0ms"
		hotOne1, hotFour1   = "hot 1×64 1ms", "hot 4×16 1ms"
		alone, many, crowds = "distinct 1", "distinct 64", "distinct 512"

		clusterMany                   = "cluster distinct 64"
		clusterHotOne, clusterHotFour = "cluster hot 1×64 0ms", "cluster hot 4×16 0ms"
	)
	c := &claimant{results: r}

	c.row = "hot key, 1 × 64, empty section"
	c.timesBestPeer(hotOne, 60)
	c.atLeast(hotOne, nameLatchkey, "least/most per goroutine", 0.9, func(f *figures) float64 { return f.Goroutines.evenness() })
	c.atMost(hotOne, nameLatchkey, "Redis commands each", 0.05, func(f *figures) float64 { return f.Commands })

	c.row = "hot key, 4 × 16, empty section"
	c.timesBestPeer(hotFour, 60)
	c.atLeast(hotFour, nameLatchkey, "least/most per process", 0.8, func(f *figures) float64 { return f.Processes.evenness() })

	c.row = "hot key, 1 × 64, 1 ms section"
	c.timesMutex(hotOne1, hotOne1, 0.95)
	c.tailOfLine(hotOne1, 1.25)
	c.row = "hot key, 4 × 16, 1 ms section"
	c.timesMutex(hotFour1, hotOne1, 0.9)
	c.tailOfLine(hotFour1, 1.5)

	c.row = "Tenure(0), 4 × 16, empty section"
	c.tail(hotFour, nameTenure0, 0.5, shorterTail)
	c.atLeast(hotFour, nameTenure0, "least/most per goroutine", 0.9, func(f *figures) float64 { return f.Goroutines.evenness() })

	c.row = "distinct keys, 1 goroutine"
	c.cycle(alone, 1.15)
	c.twoTrips(alone)

	c.row = "distinct keys, 64 goroutines"
	c.times(many, 2, nameRedislock, r.of(many, nameRedislock))
	c.times(many, 1.6, nameRueidislock, r.of(many, nameRueidislock))
	c.atMost(many, nameLatchkey, "Redis commands each", 6, func(f *figures) float64 { return f.Commands })

	c.row = "distinct keys, 512 goroutines"
	c.timesBestPeer(crowds, 2)
	c.tail(crowds, nameLatchkey, 0.5, faster)

	cluster := fmt.Sprintf("cluster of %d masters, ", clusterMasters)
	c.row = cluster + "distinct keys, 64 goroutines"
	c.times(clusterMany, 1.3, nameRueidislock, r.of(clusterMany, nameRueidislock))
	c.row = cluster + "hot key, 1 × 64, empty section"
	c.timesBestPeer(clusterHotOne, 60)
	c.row = cluster + "hot key, 4 × 16, empty section"
	c.timesBestPeer(clusterHotFour, 60)
	c.trials()
	return c.claims
}

// add notes a claim; got is only asked if all that it is about has run. What it
// returns is valid until the next one.
func (c *claimant) add(want string, ran bool, got func() (string, bool)) *report.Claim {
	c.claims = append(c.claims, report.Judge(c.row, want, ran, got))
	return &c.claims[len(c.claims)-1]
}

func (c *claimant) atLeast(scenario, contender, what string, bound float64, of func(*figures) float64) {
	f := c.results.of(scenario, contender)
	c.add(fmt.Sprintf("%s ≥ %v", what, bound), f != nil, func() (string, bool) {
		return fmt.Sprintf("%.3g", of(f)), of(f) >= bound
	})
}

func (c *claimant) atMost(scenario, contender, what string, bound float64, of func(*figures) float64) {
	f := c.results.of(scenario, contender)
	c.add(fmt.Sprintf("%s ≤ %v", what, bound), f != nil && f.Acquired > 0, func() (string, bool) {
		return fmt.Sprintf("%.3g", of(f)), of(f) <= bound
	})
}

func (c *claimant) timesBestPeer(scenario string, bound float64) {
	best := c.results.best(peer, scenario, faster)
	if best == nil {
		c.times(scenario, bound, "the best peer's", nil)
		return
	}
	c.times(scenario, bound, "the best peer's ("+best.Contender+")", best.Median)
}

// timesMutex compares with the same callers in one process.
func (c *claimant) timesMutex(scenario, ofMutex string, bound float64) {
	c.times(scenario, bound, "one sync.Mutex's", c.results.of(ofMutex, nameMutex))
}

// times claims bound times the acquisitions of another.
func (c *claimant) times(scenario string, bound float64, name string, other *figures) {
	f := c.results.of(scenario, nameLatchkey)
	one := c.add(fmt.Sprintf("acquisitions/s ≥ %v × %s", bound, name), f != nil && other != nil && other.Rate > 0, func() (string, bool) {
		r := f.Rate / other.Rate
		return fmt.Sprintf("%.3g × (%s to %s)", r, report.Count(f.Rate), report.Count(other.Rate)), r >= bound
	})
	if v := c.results.best(variant, scenario, faster); v != nil && f != nil && other != nil && faster(v.Median, other) {
		one.Variant = fmt.Sprintf("%.3g × %s (%s)", f.Rate/v.Median.Rate, v.Contender, report.Count(v.Median.Rate))
	}
}

// tailOfLine compares the longest waits with those of a fair line: 64 sections.
func (c *claimant) tailOfLine(scenario string, bound float64) {
	f := c.results.of(scenario, nameLatchkey)
	c.add(fmt.Sprintf("p99 wait ≤ %v × 64 × the mean section", bound), f != nil && f.Section > 0, func() (string, bool) {
		r := float64(f.WaitP99) / float64(64*f.Section)
		return fmt.Sprintf("%.3g × (%s, section %s)", r, report.Short(f.WaitP99), report.Short(f.Section)), r <= bound
	})
}

// tail compares the longest waits with those of the best peer, which is before
// all others by less.
func (c *claimant) tail(scenario, contender string, bound float64, less func(a, b *figures) bool) {
	f, best, name := c.results.of(scenario, contender), c.results.best(peer, scenario, less), "the best peer's"
	if best != nil {
		name += " (" + best.Contender + ")"
	}
	one := c.add(fmt.Sprintf("p99 wait ≤ %v × %s", bound, name), f != nil && f.Acquired > 0 && best != nil, func() (string, bool) {
		return compare(f.WaitP99, best.Median.WaitP99, bound)
	})
	if v := c.results.best(variant, scenario, less); v != nil && best != nil && f != nil && less(v.Median, best.Median) {
		one.Variant = fmt.Sprintf("%.3g × %s (%s)", float64(f.WaitP99)/float64(v.Median.WaitP99), v.Contender, report.Short(v.Median.WaitP99))
	}
}

func (c *claimant) cycle(scenario string, bound float64) {
	f, other := c.results.of(scenario, nameLatchkey), c.results.of(scenario, nameRedislock)
	c.add(fmt.Sprintf("p50 of the cycle ≤ %v × redislock's", bound), f != nil && other != nil && other.CycleP50 > 0, func() (string, bool) {
		return compare(f.CycleP50, other.CycleP50, bound)
	})
}

func compare(a, b time.Duration, bound float64) (string, bool) {
	r := float64(a) / float64(b)
	return fmt.Sprintf("%.3g × (%s to %s)", r, report.Short(a), report.Short(b)), r <= bound
}

// twoTrips claims exactly two round trips a cycle: the counters are read while
// the caller goes on, so the quotient is only as exact as that.
func (c *claimant) twoTrips(scenario string) {
	f := c.results.of(scenario, nameLatchkey)
	c.add("exactly two round trips a cycle", f != nil, func() (string, bool) {
		return fmt.Sprintf("%.3f", f.Trips), f.Trips > 1.98 && f.Trips < 2.02
	})
}
