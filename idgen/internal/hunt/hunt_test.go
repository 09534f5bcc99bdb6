package hunt

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/idgen"
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
	// startTimeout bounds the wait for a first ID from each process.
	startTimeout = 30 * time.Second
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
	rounds    int // faults of each kind, at least
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
	h.awaitFirst()
	for round := 0; round < p.rounds || h.fewest() < int64(p.each); round++ {
		if round > 10+3*p.rounds {
			t.Fatalf("hunt: after %d rounds a process has made %d IDs only, of %d", round, h.fewest(), p.each)
		}
		for _, i := range h.random.Perm(len(p.faults)) {
			h.elapse(50*time.Millisecond, 500*time.Millisecond)
			p.faults[i].strike(h)
			h.struck[p.faults[i].name]++
		}
		h.elapse(500*time.Millisecond, time.Second)
	}
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

// awaitFirst returns when all processes make IDs.
func (h *hunt) awaitFirst() {
	for start := time.Now(); h.fewest() == 0; elapse(h.t.Context(), 5*time.Millisecond) {
		if time.Since(start) > startTimeout {
			h.t.Fatalf("hunt: a process makes no IDs within %v", startTimeout)
		}
	}
}

// findings is what came out.
type findings struct {
	contender   string
	seed        uint64
	took        time.Duration
	ids, fewest int
	lives       int
	leases      int // numbers of workers that processes have used
	workers     int // different ones
	fallen      int
	broken      int
	struck      counts
	errors      counts
	duplicates  int
	examples    []string
}

func (h *hunt) findings(p plan, took time.Duration) findings {
	f := findings{
		contender: p.contender.name, seed: p.seed, took: took, fewest: int(h.fewest()),
		struck: h.struck, errors: make(counts),
	}
	var lists [][]int64
	workers := make(map[int]bool)
	for _, s := range h.slots {
		if s.err != nil {
			h.t.Error(s.err)
		}
		l := s.ledger
		f.ids += len(l.ids)
		f.lives += s.lives
		f.leases += l.leases
		f.fallen += l.fallen
		f.broken += l.broken
		f.struck["clock jumps"] += l.jumps
		for name, n := range l.errors {
			f.errors[name] += n
		}
		for w := range l.ever {
			workers[w] = true
		}
		lists = append(lists, l.ids)
	}
	f.workers = len(workers)
	n, examples := duplicates(lists)
	f.duplicates = n
	for _, d := range examples {
		worker, place := p.contender.split(idgen.ID(d.id))
		f.examples = append(f.examples, fmt.Sprintf("%d (worker %d, place %d) in slots %v", d.id, worker, place, d.slots))
	}
	return f
}

func (c counts) String() string {
	var parts []string
	for _, name := range c.names() {
		parts = append(parts, fmt.Sprintf("%s %d", name, c[name]))
	}
	return strings.Join(parts, ", ")
}

// table is the findings as a table of Markdown.
func (f findings) table() string {
	var b strings.Builder
	row := func(what string, value any) { fmt.Fprintf(&b, "| %s | %v |\n", what, value) }
	fmt.Fprintf(&b, "\n| | %s |\n|---|---|\n", f.contender)
	row("seed, duration", fmt.Sprintf("%d, %v", f.seed, f.took.Round(time.Second)))
	row("IDs", f.ids)
	row("fewest of a process", f.fewest)
	row("faults", f.struck)
	row("processes, one after the other in "+fmt.Sprint(processes)+" slots", f.lives)
	row("worker numbers, times that a process used one", fmt.Sprintf("%d, %d", f.workers, f.leases))
	row("calls that failed, by error", f.errors)
	row("IDs not above the one before", f.fallen)
	row("gaps inside a block", f.broken)
	row("duplicates", f.duplicates)
	return b.String()
}
