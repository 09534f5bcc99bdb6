package crowd

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Crowd is who comes, and for how long.
type Crowd struct {
	// Buyers is how many come, InFlight how many of them are in the shop at
	// once.
	Buyers, InFlight int
	// Box is how long the sale lets buyers in; those who are still outside then
	// are not served.
	Box time.Duration
	// Grace is how long those who are inside when the sale closes may stay for
	// their answer.
	Grace time.Duration
	// Item is what they all want.
	Item string
}

// Run lets the crowd in and returns what became of it. Buyer n goes through
// door n, modulo the number of doors. The sale closes early when ctx ends.
// Progress, unless nil, is called with the number of buyers who have left, one
// call at a time. Run returns at most Box + Grace after its start, given doors
// that heed their context.
func (c Crowd) Run(ctx context.Context, doors []Door, progress func(left int)) Tally {
	taking, closed := context.WithTimeout(ctx, c.Box)
	defer closed()
	inside, sendAway := c.inside(taking)
	defer sendAway()

	tickets := make(chan int)
	visits := make(chan visit)
	go func() {
		defer close(tickets)
		for n := 0; n < c.Buyers && taking.Err() == nil; n++ {
			select {
			case tickets <- n:
			case <-taking.Done():
			}
		}
	}()
	var shoppers sync.WaitGroup
	for range min(c.InFlight, c.Buyers) {
		shoppers.Go(func() {
			for n := range tickets {
				visits <- c.visit(inside, doors[n%len(doors)], n)
			}
		})
	}
	go func() {
		shoppers.Wait()
		close(visits)
	}()
	return c.count(visits, progress)
}

// inside returns the context of those who have been let in: it outlives taking
// by the grace. Ctrl-C closes the shop; it does not throw anyone out mid-way.
func (c Crowd) inside(taking context.Context) (context.Context, context.CancelFunc) {
	inside, sendAway := context.WithCancel(context.WithoutCancel(taking))
	stop := context.AfterFunc(taking, func() {
		timer := time.NewTimer(c.Grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			sendAway()
		case <-inside.Done():
		}
	})
	return inside, func() { stop(); sendAway() }
}

func (c Crowd) visit(ctx context.Context, door Door, n int) visit {
	v := visit{buyer: fmt.Sprintf("buyer-%d", n+1)}
	start := time.Now()
	v.answer = door.Buy(ctx, c.Item, v.buyer)
	v.took = time.Since(start)
	return v
}

func (c Crowd) count(visits <-chan visit, progress func(left int)) Tally {
	start := time.Now()
	t := newTally(c.Buyers)
	for v := range visits {
		t.add(v)
		if progress != nil {
			progress(t.served())
		}
	}
	t.finish(time.Since(start))
	return t
}
