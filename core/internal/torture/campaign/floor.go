package main

import (
	"fmt"

	"github.com/latchkey-go/latchkey/core/internal/torture/tally"
)

// fullSeeds is how many worlds of simulated time are all.
const fullSeeds = 50_000

// short tells what a campaign that did everything has too little of. Each scenario
// checks what it must have seen itself, but none would notice that another was left
// out or made smaller. Faults and lost replies of simulated time do not count: they
// are so many that they would hide that there were none of real processes.
func (c *campaign) short() []string {
	seeds, ambiguous, faults := 0, 0, tally.Counts{}
	for _, t := range c.Each {
		if t.Scenario == simulated {
			seeds += t.Seeds
		} else {
			faults.Add(t.Faults)
			ambiguous += t.Ambiguous
		}
	}
	var short []string
	for _, floor := range []struct {
		what     string
		is, must int
	}{
		{"attempts", c.All.Attempts, 1_000_000},
		{"grants", c.All.Grants, 200_000},
		{"faults outside simulated time", faults.Sum(), 1000},
		{"kinds of them", len(faults), 12},
		{"ambiguous replies outside simulated time", ambiguous, 5000},
		{"seeds of simulated time", seeds, fullSeeds},
	} {
		if floor.is < floor.must {
			short = append(short, fmt.Sprintf("    %d %s, of %d at least", floor.is, floor.what, floor.must))
		}
	}
	return short
}
