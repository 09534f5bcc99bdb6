package engine

import (
	"flag"
	"fmt"
	"hash/maphash"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	exploreStates = flag.Int("explore.states", 25_000, "how many distinct states to explore in each world")
	exploreOnly   = flag.String("explore.only", "", "explore the world of that name alone")
)

// worlds are what is explored: each from its beginning, breadth first.
var worlds = []struct {
	name      string
	processes int
	budget    budget
	config    Config
}{
	{"one request each, all late", 2, budget{Joins: 1, Pauses: 3, Ticks: 6}, Config{}},
	{"one request each, a lost answer", 2, budget{Joins: 1, Faults: 1, Pauses: 1, Ticks: 5}, Config{}},
	{"one request each, a cancel", 2, budget{Joins: 1, Cancels: 1, Pauses: 1, Repeats: 1, Ticks: 4}, Config{}},
	{"one request each, acks", 2, budget{Joins: 1, Pauses: 2, Ticks: 5}, Config{Acks: true}},
	{"two processes, lost answers", 2, budget{Joins: 2, Faults: 2, Pauses: 1, Ticks: 8}, Config{Tenure: 10 * time.Millisecond}},
	{"two processes, messages", 2, budget{Joins: 2, Loss: 1, Repeats: 1, Pauses: 1, Ticks: 8}, Config{Tenure: 10 * time.Millisecond}},
	{"two processes, cancels", 2, budget{Joins: 2, Faults: 1, Cancels: 2, Pauses: 1, Ticks: 6}, Config{}},
	{"two processes, breaks and outages", 2, budget{Joins: 2, Breaks: 1, Outages: 1, Pauses: 1, Ticks: 6}, Config{Tenure: 10 * time.Millisecond}},
	{"two processes, acks", 2, budget{Joins: 2, Faults: 1, Repeats: 1, Pauses: 1, Ticks: 6}, Config{Acks: true}},
	{"two processes, Redis forgets", 2, budget{Joins: 2, Forgets: 1, Loss: 1, Pauses: 1, Ticks: 6}, Config{Tenure: 10 * time.Millisecond}},
	{"three processes", 3, budget{Joins: 1, Faults: 1, Loss: 1, Pauses: 1, Ticks: 5}, Config{Tenure: 10 * time.Millisecond}},
	{"three processes, cancels and repeats", 3, budget{Joins: 1, Cancels: 1, Repeats: 1, Pauses: 2, Ticks: 5}, Config{}},
}

// The lock's state machine, with a Redis and a network that do their worst, keeps what
// it promises in every order of events, to a bound.
func TestExplore(t *testing.T) {
	for _, w := range worlds {
		if *exploreOnly != "" && *exploreOnly != w.name {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			x := explore(w.processes, w.budget, w.config, *exploreStates)
			t.Logf("%d states, %d moves, as deep as %d, %s", x.states, x.moves.Load(), x.depth, x.bound())
			if x.fault != nil {
				t.Fatalf("%v after\n%s", x.fault, x.path)
			}
		})
	}
}

// explorer goes through worlds, breadth first. It keeps how each was reached, not the
// worlds: to go on from one, it is made again.
type explorer struct {
	make   func() *sim
	most   int
	states int
	depth  int
	moves  atomic.Int64
	ended  atomic.Int64 // worlds in which nothing more may happen

	nodes []node // all that were found, in the order in which they were
	known []node // those of nodes that were there when the present level began
	seed  maphash.Seed
	seen  [64]struct {
		sync.Mutex
		hashes map[uint64]struct{}
	}

	fault error
	path  string
}

// node is a world: the one before it, and the move that has made it.
type node struct {
	parent int32
	move   move
}

func (x *explorer) bound() string {
	if len(x.nodes) >= x.most {
		return "more to come"
	}
	return fmt.Sprintf("all there are, %d of them ends", x.ended.Load())
}

func explore(processes int, b budget, cfg Config, most int) *explorer {
	cfg.Silence, cfg.SlowAnswer, cfg.MaxRequests = 2*time.Second, 500*time.Millisecond, 100
	x := &explorer{make: func() *sim { return newSim(processes, b, cfg) }, most: most, seed: maphash.MakeSeed()}
	for i := range x.seen {
		x.seen[i].hashes = make(map[uint64]struct{})
	}
	x.nodes = append(x.nodes, node{parent: -1})
	for from := 0; from < len(x.nodes) && len(x.nodes) < most && x.fault == nil; x.depth++ {
		from = x.level(from)
	}
	x.states = len(x.nodes)
	return x
}

// level goes on from all worlds of the deepest level, which begins at from, and
// returns where the next begins.
func (x *explorer) level(from int) int {
	end := len(x.nodes)
	x.known = x.nodes[:end:end]
	const chunk = 64
	var next atomic.Int64
	next.Store(int64(from))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			var found []node
			var buf []byte
			var moves []move
			for {
				at := int(next.Add(chunk)) - chunk
				mu.Lock()
				full := len(x.nodes)+len(found) >= x.most || x.fault != nil
				x.nodes = append(x.nodes, found...)
				mu.Unlock()
				found = found[:0]
				if at >= end || full {
					return
				}
				for n := at; n < min(at+chunk, end); n++ {
					w := x.world(n)
					moves = w.moves(moves)
					for i, v := range moves {
						c := w
						if i < len(moves)-1 {
							c = w.clone()
						}
						c.do(v)
						x.moves.Add(1)
						if c.fault != nil {
							mu.Lock()
							if x.fault == nil {
								x.fault, x.path = c.fault, x.tell(n, v)
							}
							mu.Unlock()
							return
						}
						var h uint64
						if h, buf = c.hash(x.seed, buf); x.first(h) {
							found = append(found, node{int32(n), v})
						}
					}
					if len(moves) == 0 {
						x.ended.Add(1)
						if err := w.settled(); err != nil {
							mu.Lock()
							if x.fault == nil && w.left.Ticks > 0 {
								x.fault, x.path = err, x.tell(int(x.known[n].parent), x.known[n].move)
							}
							mu.Unlock()
						}
					}
				}
			}
		})
	}
	wg.Wait()
	return end
}

// first reports whether h has not been seen.
func (x *explorer) first(h uint64) bool {
	s := &x.seen[h%uint64(len(x.seen))]
	s.Lock()
	defer s.Unlock()
	if _, seen := s.hashes[h]; seen {
		return false
	}
	s.hashes[h] = struct{}{}
	return true
}

// path is how node n is reached.
func (x *explorer) pathTo(n int) []move {
	var path []move
	for ; x.known[n].parent >= 0; n = int(x.known[n].parent) {
		path = append(path, x.known[n].move)
	}
	return path
}

// world makes node n again.
func (x *explorer) world(n int) *sim {
	w := x.make()
	path := x.pathTo(n)
	for i := len(path) - 1; i >= 0; i-- {
		w.do(path[i])
	}
	return w
}

// tell describes how a move from node n came about.
func (x *explorer) tell(n int, last move) string {
	w := x.make()
	var b strings.Builder
	path := x.pathTo(n)
	for i := len(path) - 1; i >= 0; i-- {
		b.WriteString(w.text(path[i]) + "\n")
		w.do(path[i])
	}
	b.WriteString(w.text(last) + "\n")
	return b.String()
}
