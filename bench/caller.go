package main

import (
	"context"
	"sync/atomic"
	"time"
)

// errorPause keeps a caller whose lock fails at once from spinning.
const errorPause = time.Millisecond

// window is when acquisitions count, on the worker's clock: after the warm-up,
// until the callers are to stop.
type window struct{ from, to time.Duration }

// caller is one goroutine that takes and gives back its keys in turn.
type caller struct {
	id      uint64 // not zero
	keys    []string
	slots   []*atomic.Uint64
	section time.Duration
	slice   time.Duration // of the timeline; zero if there is none

	// What it has seen in the window; read it after run has returned.
	acquired    int
	wait, cycle *histogram
	held        time.Duration // in sections, all together
	timeline    []int         // acquisitions in each slice of the window
	cutOff      time.Duration // the wait that the end cut off
	overlaps    int           // whenever
	errors      int           // whenever
	err         error         // the first
}

// run goes on until stopping is set, or ctx ends while it waits. Whoever gets a
// lock after that gives it back at once: then nobody is in a section when ctx
// ends, and no contender loses a lock that is in use with its context.
func (c *caller) run(ctx context.Context, l locker, clock func() time.Duration, w window, stopping *atomic.Bool) {
	asked := clock()
	for i := 0; !stopping.Load(); i = (i + 1) % len(c.keys) {
		unlock, err := l.lock(ctx, c.keys[i])
		if err != nil {
			if ctx.Err() != nil {
				c.cutOff = clock() - asked
				return
			}
			c.failed(err)
			time.Sleep(errorPause)
			asked = clock()
			continue
		}
		got := clock()
		var held time.Duration
		if !stopping.Load() {
			held = c.hold(c.slots[i], got, clock)
		}
		if err := unlock(); err != nil {
			c.failed(err)
		}
		done := clock()
		if got >= w.from && got < w.to {
			c.acquired++
			c.count(got - w.from)
			c.held += held
			c.wait.record(got - asked)
			c.cycle.record(done - asked)
		}
		asked = done
	}
}

// count adds an acquisition to the timeline, if there is one.
func (c *caller) count(at time.Duration) {
	if c.slice == 0 {
		return
	}
	i := int(at / c.slice)
	for len(c.timeline) <= i {
		c.timeline = append(c.timeline, 0)
	}
	c.timeline[i]++
}

// hold is the critical section; it returns how long it was. That of an empty
// one is not measured: the clock would take longer than the section.
func (c *caller) hold(slot *atomic.Uint64, got time.Duration, clock func() time.Duration) (held time.Duration) {
	if !enter(slot, c.id) {
		c.overlaps++
	}
	if c.section > 0 {
		time.Sleep(c.section)
		held = clock() - got
	}
	leave(slot, c.id)
	return held
}

func (c *caller) failed(err error) {
	c.errors++
	if c.err == nil {
		c.err = err
	}
}
