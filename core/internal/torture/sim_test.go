package torture

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/latchkey-go/latchkey/core/internal/torture/sim"
	"github.com/latchkey-go/latchkey/core/internal/torture/tally"
)

// TestS1SimulatedTime lets small worlds go wrong, each in another way. Without
// -seed the quick form takes the same seeds each time, the full form others.
func TestS1SimulatedTime(t *testing.T) {
	t.Parallel()
	n, first, times := size(1000, 50_000), uint64(1), 1 // -seed 0 is no seed
	if *share > 0 {
		first = 1 + rand.Uint64N(1<<40)
	}
	if *seed > 0 {
		n, first, times = 1, *seed, replays
	}
	s := scenario(t, "S1")
	s.Seed = first
	var next atomic.Int64
	if n >= 1000 {
		t.Cleanup(func() { inSight(s) }) // when the workers have ended
	}
	for i := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprint("worker ", i), func(t *testing.T) {
			t.Parallel()
			for k := next.Add(1) - 1; k < int64(n); k = next.Add(1) - 1 {
				if found := inWorld(t, s, first+uint64(k), times); found && *stop {
					next.Store(int64(n))
				}
			}
		})
	}
}

// replays is how often a seed is replayed, as long as nothing is found: what depends
// on the scheduler, too, may not happen the first time. It counts as one.
const replays = 20

// inWorld runs the world of a seed, and tells whether a violation was found.
func inWorld(t *testing.T, s *tally.Tally, seed uint64, times int) bool {
	r := sim.Run(t, seed)
	for ; times > 1 && len(r.Judge()) == 0; times-- {
		r = sim.Run(t, seed)
	}
	found := append(r.Found, judge(s, r.Attempts, r.Writes, r.Terms)...)
	s.Count(func(t *tally.Totals) {
		t.Seeds++
		t.Faults.Add(r.Faults)
		for _, w := range r.Writes {
			if !w.Accepted { // a store without tokens would have taken it
				t.Lost++
			}
		}
		t.Ambiguous += r.Ambiguous
		for _, v := range found {
			t.Violations = append(t.Violations, fmt.Sprintf("seed %d (make torture SEED=%d replays it): %v", seed, seed, v))
		}
	})
	return len(found) > 0
}

// inSight checks that what the scenario is about has happened at all.
func inSight(s *tally.Tally) {
	s.Count(func(t *tally.Totals) {
		if len(t.Violations) > 0 {
			return
		}
		missing := slices.DeleteFunc(sim.Faults(), func(kind string) bool { return t.Faults[kind] > 0 })
		if len(missing) > 0 || t.Ambiguous == 0 || t.Doubles == 0 || t.Lost == 0 {
			t.Violations = append(t.Violations, fmt.Sprintf("there is nothing to be seen: no %q, %d ambiguous replies, %d double grants where Redis forgets, %d updates lost by the twin",
				missing, t.Ambiguous, t.Doubles, t.Lost))
		}
	})
}
