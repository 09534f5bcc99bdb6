package crowd_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/examples/flashsale/internal/crowd"
)

// door answers after a time, from a list of answers that it goes through once.
type door struct {
	takes  time.Duration
	answer func(buyer string) crowd.Answer
	visits atomic.Int32

	mu              sync.Mutex
	inside, crammed int // crammed is the most inside at once
}

func (d *door) enter(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside += n
	d.crammed = max(d.crammed, d.inside)
}

func (d *door) Buy(ctx context.Context, _, buyer string) crowd.Answer {
	d.visits.Add(1)
	d.enter(1)
	defer d.enter(-1)
	select {
	case <-time.After(d.takes):
		return d.answer(buyer)
	case <-ctx.Done():
		return crowd.Answer{Outcome: crowd.GaveUp}
	}
}

func always(o crowd.Outcome) func(string) crowd.Answer {
	return func(string) crowd.Answer { return crowd.Answer{Outcome: o} }
}

func TestEveryBuyerIsCountedOnce(t *testing.T) {
	fault := errors.New("fault")
	answers := map[string]crowd.Answer{
		"buyer-1": {Outcome: crowd.Sold, OrderID: 11},
		"buyer-2": {Outcome: crowd.Sold, OrderID: 12},
		"buyer-3": {Outcome: crowd.SoldOut},
		"buyer-4": {Outcome: crowd.Denied, Reason: "LOCK_QUEUE_FULL"},
		"buyer-5": {Outcome: crowd.Denied, Reason: "LOCK_QUEUE_FULL"},
		"buyer-6": {Outcome: crowd.Denied, Reason: "LOCK_WAIT_TIMEOUT"},
		"buyer-7": {Outcome: crowd.Failed, Err: fault},
	}
	synctest.Test(t, func(t *testing.T) {
		d := &door{takes: time.Millisecond, answer: func(buyer string) crowd.Answer { return answers[buyer] }}
		c := crowd.Crowd{Buyers: 7, InFlight: 3, Box: time.Second, Grace: time.Second}
		var progress []int
		tally := c.Run(t.Context(), []crowd.Door{d}, func(left int) { progress = append(progress, left) })

		want := map[crowd.Outcome]int{
			crowd.Sold: 2, crowd.SoldOut: 1, crowd.Denied: 3, crowd.Failed: 1, crowd.GaveUp: 0, crowd.NotServed: 0,
		}
		for outcome, n := range want {
			if tally.Count[outcome] != n {
				t.Errorf("%v: %d, want %d", outcome, tally.Count[outcome], n)
			}
		}
		if tally.Reasons["LOCK_QUEUE_FULL"] != 2 || tally.Reasons["LOCK_WAIT_TIMEOUT"] != 1 {
			t.Errorf("reasons = %v", tally.Reasons)
		}
		if !errors.Is(tally.FirstFailure, fault) {
			t.Errorf("first failure = %v, want %v", tally.FirstFailure, fault)
		}
		receipts := map[crowd.Receipt]bool{}
		for _, r := range tally.Receipts {
			receipts[r] = true
		}
		if len(receipts) != 2 || !receipts[crowd.Receipt{OrderID: 11, Buyer: "buyer-1"}] || !receipts[crowd.Receipt{OrderID: 12, Buyer: "buyer-2"}] {
			t.Errorf("receipts = %v", tally.Receipts)
		}
		if tally.Answered() != 3 {
			t.Errorf("answered = %d, want the sold and the sold out", tally.Answered())
		}
		if len(progress) != 7 || progress[6] != 7 {
			t.Errorf("progress = %v, want 1 to 7", progress)
		}
		if d.crammed != 3 {
			t.Errorf("%d were inside at once, want 3", d.crammed)
		}
	})
}

func TestBuyersAreSpreadOverTheDoors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := &door{answer: always(crowd.SoldOut)}, &door{answer: always(crowd.SoldOut)}, &door{answer: always(crowd.SoldOut)}
		crowd.Crowd{Buyers: 300, InFlight: 7, Box: time.Second}.Run(t.Context(), []crowd.Door{a, b, c}, nil)
		for _, d := range []*door{a, b, c} {
			if d.visits.Load() != 100 {
				t.Errorf("a door had %d visits, want 100", d.visits.Load())
			}
		}
	})
}

func TestWhenTheSaleClosesNobodyIsLetInAndThoseInsideHaveTheGrace(t *testing.T) {
	const box, grace = 10 * time.Second, time.Second
	for name, c := range map[string]struct {
		takes                     time.Duration
		answered, gaveUp, outside int
		lasted                    time.Duration
	}{
		// 2 at a time, 3 s each: the 7th and 8th enter at 9 s and are answered
		// at 12 s, which is too late.
		"over the grace":   {takes: 3 * time.Second, answered: 6, gaveUp: 2, outside: 12, lasted: 11 * time.Second},
		"within the grace": {takes: 5250 * time.Millisecond, answered: 4, gaveUp: 0, outside: 16, lasted: 10500 * time.Millisecond},
		"done in time":     {takes: time.Second / 2, answered: 20, gaveUp: 0, outside: 0, lasted: 5 * time.Second},
		"never":            {takes: time.Hour, answered: 0, gaveUp: 2, outside: 18, lasted: 11 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &door{takes: c.takes, answer: always(crowd.SoldOut)}
				tally := crowd.Crowd{Buyers: 20, InFlight: 2, Box: box, Grace: grace}.Run(t.Context(), []crowd.Door{d}, nil)
				if got := tally.Count[crowd.SoldOut]; got != c.answered {
					t.Errorf("answered: %d, want %d", got, c.answered)
				}
				if got := tally.Count[crowd.GaveUp]; got != c.gaveUp {
					t.Errorf("gave up: %d, want %d", got, c.gaveUp)
				}
				if got := tally.Count[crowd.NotServed]; got != c.outside {
					t.Errorf("not served: %d, want %d", got, c.outside)
				}
				if tally.Elapsed != c.lasted {
					t.Errorf("lasted %v, want %v", tally.Elapsed, c.lasted)
				}
			})
		})
	}
}

func TestAnInterruptedSaleStillAnswersThoseInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer interrupt()
		d := &door{takes: time.Second, answer: always(crowd.SoldOut)}
		tally := crowd.Crowd{Buyers: 20, InFlight: 2, Box: time.Minute, Grace: time.Second}.Run(ctx, []crowd.Door{d}, nil)
		if tally.Count[crowd.SoldOut] != 4 || tally.Count[crowd.NotServed] != 16 || tally.Elapsed != 2*time.Second {
			t.Errorf("tally = %+v, want 4 answered within 2 s", tally)
		}
	})
}

func TestWaitsAreOnesThatSomebodyHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &slower{}
		tally := crowd.Crowd{Buyers: 200, InFlight: 1, Box: time.Hour}.Run(t.Context(), []crowd.Door{d}, nil)
		for q, want := range map[float64]time.Duration{
			0: 1 * time.Millisecond, 0.5: 100 * time.Millisecond, 0.99: 198 * time.Millisecond, 1: 200 * time.Millisecond,
		} {
			if got := tally.Wait(q); got != want {
				t.Errorf("Wait(%v) = %v, want %v", q, got, want)
			}
		}
		if got := (crowd.Tally{}).Wait(0.5); got != 0 {
			t.Errorf("without buyers, Wait = %v, want 0", got)
		}
	})
}

// slower takes 1 ms for the first buyer, 2 ms for the second and so on.
type slower struct{ n time.Duration }

func (s *slower) Buy(context.Context, string, string) crowd.Answer {
	s.n++
	time.Sleep(s.n * time.Millisecond)
	return crowd.Answer{Outcome: crowd.SoldOut}
}
