package hunt

import (
	"errors"
	"sync/atomic"

	"github.com/latchkey-go/latchkey/idgen"
)

var errNoRecord = errors.New("a child wrote what is no record")

// ledger is what is known of the IDs of one slot, over the lives of all its
// processes.
type ledger struct {
	split  func(idgen.ID) (worker int, place int64)
	ids    []int64
	count  atomic.Int64 // of ids, for others while the ledger grows
	jumps  int          // of clocks
	errors map[string]int
	leases int // workers' numbers that processes used

	fallen int // IDs not above the one before of the same maker and life
	broken int // IDs of a block that do not follow the one before

	life [makers]struct{ last, place int64 } // of the process's makers
	used map[int]bool                        // workers' numbers of the process
	ever map[int]bool                        // workers' numbers of all
}

func newLedger(c contender, size int) *ledger {
	return &ledger{
		split: c.split, ids: make([]int64, 0, size),
		errors: make(map[string]int), used: make(map[int]bool), ever: make(map[int]bool),
	}
}

// begin makes the ledger ready for another process of the slot.
func (l *ledger) begin() {
	clear(l.life[:])
	clear(l.used)
}

// add enters an ID. follows: it is of the same call as the one before.
func (l *ledger) add(maker int, id idgen.ID, follows bool) {
	worker, place := l.split(id)
	life := &l.life[maker]
	if int64(id) <= life.last {
		l.fallen++
	}
	if follows && place != life.place+1 {
		l.broken++
	}
	life.last, life.place = int64(id), place
	if !l.used[worker] {
		l.used[worker], l.ever[worker] = true, true
		l.leases++
	}
	l.ids = append(l.ids, int64(id))
	l.count.Add(1)
}
