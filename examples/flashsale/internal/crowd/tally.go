package crowd

import (
	"math"
	"slices"
	"time"
)

// Tally is what became of a crowd. The counts of all outcomes add up to the
// number of buyers.
type Tally struct {
	// Count has an entry for each outcome that occurred.
	Count map[Outcome]int
	// Reasons says why buyers were denied.
	Reasons map[string]int
	// Receipts are the orders that buyers were told of.
	Receipts []Receipt
	// FirstFailure is the error of the first buyer who failed, nil if none did.
	FirstFailure error
	// Elapsed is from the opening to the last answer.
	Elapsed time.Duration

	waits []time.Duration // ascending
}

// Receipt is an order that a buyer was told of.
type Receipt struct {
	OrderID int64
	Buyer   string
}

func newTally(buyers int) Tally {
	return Tally{
		Count:   map[Outcome]int{NotServed: buyers},
		Reasons: make(map[string]int),
		waits:   make([]time.Duration, 0, buyers),
	}
}

func (t *Tally) add(v visit) {
	t.Count[NotServed]--
	t.Count[v.answer.Outcome]++
	t.waits = append(t.waits, v.took)
	switch v.answer.Outcome {
	case Sold:
		t.Receipts = append(t.Receipts, Receipt{v.answer.OrderID, v.buyer})
	case Denied:
		t.Reasons[v.answer.Reason]++
	case Failed:
		if t.FirstFailure == nil {
			t.FirstFailure = v.answer.Err
		}
	}
}

func (t *Tally) served() int { return len(t.waits) }

func (t *Tally) finish(elapsed time.Duration) {
	t.Elapsed = elapsed
	slices.Sort(t.waits)
}

// Answered is how many buyers the shop served: they were sold something, or
// told that nothing is left.
func (t Tally) Answered() int { return t.Count[Sold] + t.Count[SoldOut] }

// Wait returns the time that the share q of all buyers who were let in did not
// exceed, from their asking to their answer or their giving up: 0.5 is the
// median, 1 the longest. It is zero if nobody was let in.
func (t Tally) Wait(q float64) time.Duration {
	if len(t.waits) == 0 {
		return 0
	}
	// The nearest rank: a wait that somebody had, never one interpolated.
	rank := int(math.Ceil(q*float64(len(t.waits)))) - 1
	return t.waits[min(max(rank, 0), len(t.waits)-1)]
}
