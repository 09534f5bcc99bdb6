package torture

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/latchkey-go/latchkey/core/internal/torture/sim"
	"github.com/latchkey-go/latchkey/core/internal/torture/tally"
)

// TestS1SimulatedTime lets small worlds go wrong, each in another way. Without
// -seed the quick form takes the same seeds each time, the full form others.
func TestS1SimulatedTime(t *testing.T) {
	t.Parallel()
	n, first := size(1000, 50_000), uint64(0)
	if *share > 0 {
		first = rand.Uint64N(1 << 40)
	}
	if *seed > 0 {
		n, first = 1, *seed
	}
	s := scenario(t, "S1")
	s.Seed = first
	var next atomic.Int64
	for i := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprint("worker ", i), func(t *testing.T) {
			t.Parallel()
			for k := next.Add(1) - 1; k < int64(n); k = next.Add(1) - 1 {
				if found := inWorld(t, s, first+uint64(k)); found && *stop {
					next.Store(int64(n))
				}
			}
		})
	}
}

// inWorld runs the world of a seed, and tells whether a violation was found.
func inWorld(t *testing.T, s *tally.Tally, seed uint64) bool {
	r := sim.Run(t, seed)
	found := append(r.Found, judge(s, r.Attempts, r.Writes, r.Terms)...)
	s.Count(func(t *tally.Totals) {
		t.Seeds++
		t.Faults.Add(r.Faults)
		t.Ambiguous += r.Ambiguous
		for _, v := range found {
			t.Violations = append(t.Violations, fmt.Sprintf("seed %d (make torture SEED=%d replays it): %v", seed, seed, v))
		}
	})
	return len(found) > 0
}
