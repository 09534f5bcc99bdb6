package hunt

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

const (
	processes = 8
	// roundTime is for how long processes make IDs during a fault of each kind,
	// at least.
	roundTime = 2500 * time.Millisecond
	// recovery is for how long a process of a short hunt may make no IDs: those
	// of a long one take their turns.
	recovery = time.Second
	maxShift = 10 * time.Second
	// patience bounds the wait for a process that makes IDs too slowly.
	patience = 30 * time.Second
)

// hunt lets processes make IDs while faults strike.
type hunt struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand // of the test's goroutine
	pair   *pair
	slots  []*slot
	frozen sync.WaitGroup
	struck counts
}

// plan is what a hunt is to do.
type plan struct {
	contender contender
	seed      uint64
	each      int // IDs of each slot, at least
	rounds    int // faults of each kind
	shift     time.Duration
	faults    []fault
}

// run carries the plan out, and returns what was found.
func (p plan) run(t *testing.T) findings {
	t.Helper()
	h := &hunt{
		t: t, seed: p.seed, random: rand.New(rand.NewPCG(p.seed, 0)), pair: startPair(t), struck: make(counts),
	}
	begun := time.Now()
	rate := int(float64(p.each) / (roundTime*time.Duration(p.rounds) - recovery).Seconds())
	var all sync.WaitGroup
	for i := range processes {
		s := &slot{index: i, ledger: newLedger(p.contender, p.each*3/2)}
		s.work = assignment{Contender: p.contender.name, Redis: h.pair.proxy.addr(), Seed: p.seed, Rate: rate, Shift: p.shift}
		h.slots = append(h.slots, s)
		all.Go(s.run)
	}
	end := sync.OnceFunc(func() {
		h.frozen.Wait()
		for _, s := range h.slots {
			s.end()
		}
		all.Wait()
	})
	defer end() // whatever fails
	h.await(1, patience)
	for range p.rounds {
		for _, i := range h.random.Perm(len(p.faults)) {
			h.elapse(50*time.Millisecond, 500*time.Millisecond)
			p.faults[i].strike(h)
			h.struck[p.faults[i].name]++
		}
		h.elapse(500*time.Millisecond, time.Second)
	}
	h.await(p.each, patience+2*time.Since(begun))
	end()
	return h.findings(p, time.Since(begun))
}

func (h *hunt) elapse(least, most time.Duration) { elapse(h.t.Context(), h.between(least, most)) }

// fewest is the number of IDs of the slot that has made the fewest.
func (h *hunt) fewest() int64 {
	n := h.slots[0].ledger.count.Load()
	for _, s := range h.slots[1:] {
		n = min(n, s.ledger.count.Load())
	}
	return n
}

// await returns when each slot has made n IDs.
func (h *hunt) await(n int, most time.Duration) {
	h.t.Helper()
	for start := time.Now(); h.fewest() < int64(n); elapse(h.t.Context(), 5*time.Millisecond) {
		if time.Since(start) > most {
			h.t.Fatalf("hunt: a slot has made %d IDs after another %v, of %d", h.fewest(), most, n)
		}
	}
}
