package hunt

import (
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/latchkey-go/latchkey/idgen"
)

var (
	huntSeed = flag.Uint64("seed", 0, "seed of the hunts; 0 for a random one")
	huntEach = flag.Int("each", 60_000, "how many IDs each process makes, at least")
	faultsOf = flag.Int("faults", 1, "faults of each kind")
)

func idOf(n int64) idgen.ID { return idgen.ID(n) }

// planFor is the plan of the flags.
func planFor(t *testing.T, name string) plan {
	t.Helper()
	c, err := contenderNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	seed := *huntSeed
	if seed == 0 {
		seed = 1 + rand.Uint64N(1<<32)
	}
	t.Logf("seed %d", seed)
	return plan{contender: c, seed: seed, each: *huntEach, rounds: *faultsOf, shift: maxShift, faults: faults()}
}

func TestTheHuntFindsDuplicatesOfAPlainLease(t *testing.T) {
	f := planFor(t, "setnx").run(t)
	t.Log(f.table())
	if f.duplicates == 0 {
		t.Error("no duplicates: the hunt has no teeth")
	}
}
