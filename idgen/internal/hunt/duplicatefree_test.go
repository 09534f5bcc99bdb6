package hunt

import (
	"flag"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var (
	huntSeed = flag.Uint64("seed", 0, "seed of the hunts; 0 for a random one")
	huntEach = flag.Int("each", 50_000, "how many IDs each process makes, at least")
	faultsOf = flag.Int("faults", 1, "faults of each kind, at least")
)

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

func TestNoIDOfASnowflakeComesTwice(t *testing.T) {
	f := planFor(t, "Snowflake").run(t)
	t.Log(f.table())
	if f.duplicates > 0 {
		t.Errorf("%d duplicates, with seed %d: %v", f.duplicates, f.seed, f.examples)
	}
	if f.fallen > 0 {
		t.Errorf("%d IDs are not above the one before", f.fallen)
	}
	if f.broken > 0 {
		t.Errorf("%d IDs of blocks do not follow the one before", f.broken)
	}
}

// The controls: a hunt that finds nothing of them has no teeth.
func TestTheHuntFindsDuplicatesOfLesserGenerators(t *testing.T) {
	for _, name := range []string{"setnx", "Snowflake without quarantine"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustFind(t, planFor(t, name))
		})
	}
}

// Each fault by itself finds duplicates. That of clocks needs others beside it:
// nobody notices them where no number changes hands. One fault may be lucky, so
// this is for the long form.
func TestTheHuntFindsDuplicatesByEachFault(t *testing.T) {
	type attack struct {
		contender string
		faults    []string
		shift     time.Duration
	}
	var attacks []attack
	if *faultsOf >= 10 {
		attacks = []attack{
			{"setnx", []string{"frozen"}, 0},
			{"setnx", []string{"emptied"}, 0},
			{"setnx", []string{"rolled back"}, 0},
			{"setnx", []string{"killed", "closed"}, maxShift},
			{"Snowflake without quarantine", []string{"emptied"}, 0},
			{"Snowflake without quarantine", []string{"rolled back"}, 0},
		}
	}
	for _, a := range attacks {
		p := planFor(t, a.contender)
		p.each, p.shift = p.each/10, a.shift
		p.faults = slices.DeleteFunc(p.faults, func(f fault) bool { return !slices.Contains(a.faults, f.name) })
		t.Run(a.contender+"/"+a.faults[0], func(t *testing.T) {
			t.Parallel()
			mustFind(t, p)
		})
	}
}

func mustFind(t *testing.T, p plan) {
	f := p.run(t)
	t.Log(f.table())
	if f.duplicates == 0 {
		t.Errorf("no duplicates, with seed %d", f.seed)
	}
}
