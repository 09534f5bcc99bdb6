package main

import (
	"fmt"
	"math"

	"github.com/latchkey-go/latchkey/bench/internal/report"
)

// What must be shown.
const (
	maxOfULID     = 0.4  // of ulid.Make's time, for an ID of a Snowflake
	maxOfGoogle   = 0.6  // of google/uuid.NewV7's, for a UUIDv7
	maxInBatch    = 2    // nanoseconds for an ID of a Snowflake in a batch
	maxOffLimit   = 0.02 // how far from the layout's limit the sustained rate may be
	maxOfSequence = 60   // nanoseconds for an ID of a Sequence, refills included
	maxCores      = 0.5  // busy at the sustained rate: less than half of one that spins
	noneAllocated = 0.01 // for an ID, when what is allocated is not for the ID
)

// claimant collects claims.
type claimant struct {
	results *results
	claims  []report.Claim
	row     string
}

func (r *results) claims() []report.Claim {
	c := &claimant{results: r}
	for _, s := range []struct{ name, text string }{{single, "one goroutine"}, {parallel, "a goroutine for each core"}} {
		c.row = "Snowflake.Next, clock seam advancing, " + s.text
		c.times(s.name, nameSeamSnowflake, nameULID, maxOfULID)
		c.withTheSystemClock(s.name)
		c.allocates(s.name, nameSeamSnowflake)
	}
	c.row = "Snowflake.NextN(1000)"
	f := r.of(batches, nameSeamSnowflake)
	c.add(fmt.Sprintf("time per ID ≤ %v ns", maxInBatch), f != nil, func() (string, bool) {
		return nanoseconds(f.Each), f.Each <= maxInBatch
	})
	for _, name := range []string{sustained1, sustained4} {
		c.row = "Snowflake, " + name
		c.sustains(r.of(name, nameDefaultSnowflake))
	}
	for _, s := range []struct{ name, text string }{{single, "one goroutine"}, {parallel, "a goroutine for each core"}} {
		c.row = "UUIDv7, " + s.text
		one := c.times(s.name, nameUUIDv7, nameGoogleV7, maxOfGoogle)
		if f, pooled := r.of(s.name, nameUUIDv7), r.of(s.name, namePooledGoogleV7); f != nil && pooled != nil {
			one.Variant = fmt.Sprintf("%.3g × %s (%s)", f.Each/pooled.Each, namePooledGoogleV7, nanoseconds(pooled.Each))
		}
		c.allocates(s.name, nameUUIDv7)
	}
	c.row = "Sequence.Next with refills from Redis, one goroutine"
	q := r.of(single, nameSequence)
	c.add(fmt.Sprintf("time per ID ≤ %v ns", maxOfSequence), q != nil, func() (string, bool) {
		return nanoseconds(q.Each), q.Each <= maxOfSequence
	})
	c.row = "Sequence.Next when the rate doubles"
	c.doubles(r.Doubling)
	return c.claims
}

// add notes a claim; got is only asked if all that it is about has run. What it
// returns is valid until the next one.
func (c *claimant) add(want string, ran bool, got func() (string, bool)) *report.Claim {
	c.claims = append(c.claims, report.Judge(c.row, want, ran, got))
	return &c.claims[len(c.claims)-1]
}

// times claims that an ID takes at most bound times as long as another's.
func (c *claimant) times(scenario, contender, peer string, bound float64) *report.Claim {
	f, other := c.results.of(scenario, contender), c.results.of(scenario, peer)
	return c.add(fmt.Sprintf("time ≤ %v × %s", bound, peer), f != nil && other != nil, func() (string, bool) {
		r := f.Each / other.Each
		return fmt.Sprintf("%.3g × (%s to %s)", r, nanoseconds(f.Each), nanoseconds(other.Each)), r <= bound
	})
}

// withTheSystemClock adds to the last claim what it is with that clock.
func (c *claimant) withTheSystemClock(scenario string) {
	f, other := c.results.of(scenario, nameWideSnowflake), c.results.of(scenario, nameULID)
	if f != nil && other != nil {
		c.claims[len(c.claims)-1].Variant = fmt.Sprintf("%.3g × with the system's clock (%s)", f.Each/other.Each, nanoseconds(f.Each))
	}
}

func (c *claimant) allocates(scenario, contender string) {
	f := c.results.of(scenario, contender)
	c.add("0 allocations", f != nil, func() (string, bool) {
		return fmt.Sprintf("%.2g", f.Allocs), f.Allocs < noneAllocated
	})
}

func (c *claimant) sustains(f *figures) {
	c.add(fmt.Sprintf("rate within %s of %s/s", report.Percent(maxOffLimit), report.Count(limit)), f != nil, func() (string, bool) {
		r := f.rate() / limit
		return fmt.Sprintf("%.4f × (%s)", r, report.Count(f.rate())), math.Abs(r-1) <= maxOffLimit
	})
	c.add(fmt.Sprintf("waits, does not spin: cores busy ≤ %v", maxCores), f != nil, func() (string, bool) {
		return fmt.Sprintf("%.2f", f.Cores), f.Cores <= maxCores
	})
}

func (c *claimant) doubles(r *doublingResult) {
	c.add("no stall over one round trip, beside those that the machine has by itself", r != nil, func() (string, bool) {
		m := r.Median
		return fmt.Sprintf("longest %s (round trip %s, longest UUIDv7 %s)", report.Short(m.After), report.Short(m.RoundTrip), report.Short(m.Control)),
			m.After <= m.RoundTrip+m.Control
	})
}
