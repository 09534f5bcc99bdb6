package hunt

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/idgen"
)

// counts is how often things happened, by name.
type counts map[string]int

func (c counts) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, c[name]))
	}
	return strings.Join(parts, ", ")
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
