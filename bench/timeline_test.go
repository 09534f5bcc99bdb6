package main

import (
	"testing"
	"time"
)

// tenth are slices of a tenth of a second.
func tenths(counts ...int) timeline { return timeline{100 * time.Millisecond, counts} }

func TestARateIsOfWholeSlicesOnly(t *testing.T) {
	line := tenths(1, 2, 3, 4)
	for name, c := range map[string]struct {
		from, to time.Duration
		rate     float64
		ok       bool
	}{
		"all":               {0, 400 * time.Millisecond, 25, true},
		"beyond the end":    {300 * time.Millisecond, time.Minute, 40, true},
		"from inside one":   {50 * time.Millisecond, 250 * time.Millisecond, 20, true},
		"less than a slice": {110 * time.Millisecond, 190 * time.Millisecond, 0, false},
		"after the end":     {time.Second, 2 * time.Second, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			if rate, ok := line.between(c.from, c.to); rate != c.rate || ok != c.ok {
				t.Errorf("between = %v, %t; want %v, %t", rate, ok, c.rate, c.ok)
			}
		})
	}
}

func TestRecoveryIsBeforeTheNextCut(t *testing.T) {
	const ms = time.Millisecond
	// Ten a slice without cuts; then one cut is overcome in its second slice, one
	// not at all, and after the last one nothing counts.
	line := tenths(10, 8, 12, 10 /* cut */, 2, 5, 7 /* cut */, 0, 4, 2 /* cut */, 10, 10, 10)
	r := recoveryOf(line, []time.Duration{400 * ms, 700 * ms, 1000 * ms}, 100*ms)
	want := recovery{Quiet: 100, Median: 14. / 30, Worst: 0.2, QuietWorst: 0.8, Cuts: 2, Recovered: 1, Slowest: 200 * ms}
	if d := r.Median - want.Median; d < -1e-9 || d > 1e-9 {
		t.Errorf("median %v; want %v", r.Median, want.Median)
	}
	if r.Median = want.Median; r != want {
		t.Errorf("recovery = %+v;\nwant       %+v", r, want)
	}
}

func TestWithoutCutsOrThroughputThereIsNoRecovery(t *testing.T) {
	for name, r := range map[string]recovery{
		"one cut":                   recoveryOf(tenths(1, 1), []time.Duration{100 * time.Millisecond}, time.Second),
		"nothing before the cuts":   recoveryOf(tenths(0, 1, 1), []time.Duration{100 * time.Millisecond, 200 * time.Millisecond}, time.Second),
		"no slice before the cuts":  recoveryOf(tenths(1, 1), []time.Duration{50 * time.Millisecond, 200 * time.Millisecond}, time.Second),
		"no slice between the cuts": {},
	} {
		if r.Cuts != 0 || r.Recovered != 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestAWaitThatTheEndCutsOffIsTold(t *testing.T) {
	w, _ := mapTwice(t, 1)
	r := workFor(t, &firstOnly{}, w, hot(1, 4, 0))
	if r.CutOff < settle {
		t.Errorf("the longest that was cut off: %v; want at least the %v after the end", r.CutOff, settle)
	}
}

func TestCallersOfFewHotKeysWantThemInEachProcess(t *testing.T) {
	s := scenario{Processes: 2, Goroutines: 6, Hot: true, Keys: 3}
	w, _ := mapTwice(t, s.slots())
	for process := range s.Processes {
		wanted := map[string]int{}
		for _, c := range (job{Scenario: s, Process: process}).callers(w) {
			for _, k := range c.keys {
				wanted[k]++
			}
		}
		if len(wanted) != 3 || wanted["hot 0"] != 2 || wanted["hot 2"] != 2 {
			t.Errorf("process %d wants %v", process, wanted)
		}
	}
}

func TestATimelineCountsInSlices(t *testing.T) {
	c := &caller{slice: 10 * time.Millisecond}
	for _, at := range []time.Duration{0, 9 * time.Millisecond, 30 * time.Millisecond} {
		c.count(at)
	}
	r := summary([]*caller{{wait: new(histogram), cycle: new(histogram), timeline: []int{1}}, {wait: new(histogram), cycle: new(histogram), timeline: c.timeline}})
	if len(r.Timeline) != 4 || r.Timeline[0] != 3 || r.Timeline[1] != 0 || r.Timeline[3] != 1 {
		t.Errorf("timeline = %v", r.Timeline)
	}
}
