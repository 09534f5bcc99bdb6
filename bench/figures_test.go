package main

import (
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/redisserver"
)

func TestFiguresAreForEachAcquisitionOverAllProcesses(t *testing.T) {
	report := func(cpu time.Duration, acquired ...int) *workReport {
		r := &workReport{Acquired: acquired, Wait: new(histogram), Cycle: new(histogram), CPU: cpu, Held: 4 * time.Millisecond}
		for _, n := range acquired {
			for range n {
				r.Wait.record(time.Duration(n))
				r.Cycle.record(100)
			}
		}
		return r
	}
	f := newFigures([]*workReport{report(3*time.Second, 1, 2), report(5*time.Second, 2, 3)}, redisserver.Counters{Commands: 80, Reads: 16}, 2*time.Second)
	want := figures{
		Acquired: 8, Rate: 4, WaitP50: 2, WaitP99: 3, WaitMax: 3, CycleP50: 100,
		Commands: 10, Trips: 2, CPU: time.Second, Section: time.Millisecond,
		Goroutines: spread{1, 3}, Processes: spread{3, 5},
	}
	if *f != want {
		t.Errorf("figures = %+v;\nwant      %+v", *f, want)
	}
}

func TestWhoGotNothingHasFiguresOfZero(t *testing.T) {
	f := newFigures([]*workReport{{Acquired: []int{0}, Wait: new(histogram), Cycle: new(histogram)}}, redisserver.Counters{Commands: 5}, time.Second)
	if *f != (figures{}) {
		t.Errorf("figures = %+v", *f)
	}
}

func TestMediansAreOfEachFigure(t *testing.T) {
	m := medians([]*figures{
		{Rate: 1, WaitP99: 30, Goroutines: spread{1, 2}, Overlaps: 1},
		{Rate: 3, WaitP99: 10, Goroutines: spread{9, 10}, Error: "x", Errors: 2},
		{Rate: 2, WaitP99: 20, Goroutines: spread{0, 7}},
	})
	if m.Rate != 2 || m.WaitP99 != 20 || m.Goroutines != (spread{1, 2}) {
		t.Errorf("medians = %+v", *m)
	}
	if m.Overlaps != 1 || m.Errors != 2 || m.Error != "x" {
		t.Errorf("overlaps and errors = %+v; want all of them", *m)
	}
	if m := medians([]*figures{{Rate: 1}, {Rate: 2}}); m.Rate != 1.5 {
		t.Errorf("the median of two is %v", m.Rate)
	}
}
