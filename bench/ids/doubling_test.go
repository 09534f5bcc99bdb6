package main

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/report"
)

func TestAPacedLoopCallsInEachTick(t *testing.T) {
	calls := 0
	took, err := pace(func() error { calls++; return nil }, 7, 3*tick)
	if err != nil || calls != 21 || len(took) != 21 {
		t.Errorf("%d calls, %d times, %v; want 21", calls, len(took), err)
	}
	broken := errors.New("broken")
	if _, err := pace(func() error { return broken }, 1, tick); !errors.Is(err, broken) {
		t.Errorf("%v, want %v", err, broken)
	}
}

func TestMediansOfLatenciesAreOfEachFigureAndCallsAddUp(t *testing.T) {
	m := medianLatencies([]*latencies{
		{RoundTrip: 1, Before: 9, After: 2, Control: 3, Slow: 1, SlowControl: 5, Calls: 10},
		{RoundTrip: 2, Before: 1, After: 8, Control: 1, Slow: 2, SlowControl: 6, Calls: 10},
		{RoundTrip: 3, Before: 5, After: 5, Control: 2, Slow: 3, SlowControl: 7, Calls: 10},
	})
	if want := (latencies{RoundTrip: 2, Before: 5, After: 5, Control: 2, Slow: 6, SlowControl: 18, Calls: 30}); *m != want {
		t.Errorf("%+v, want %+v", *m, want)
	}
}

func TestOnlyWhatIsLongerCounts(t *testing.T) {
	if n := longer([]time.Duration{1, 2, 3, 4}, 2); n != 2 {
		t.Errorf("%d, want 2", n)
	}
}

func TestAStallIsWhatTheMachineDoesNotHaveByItself(t *testing.T) {
	for name, c := range map[string]struct {
		after, control time.Duration
		want           string
	}{
		"no stall":                    {10, 1, report.Pass},
		"a round trip":                {30, 0, report.Pass},
		"the machine stalls, too":     {60, 30, report.Pass},
		"longer than the two of them": {61, 30, report.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			r := &results{Doubling: &doublingResult{Median: &latencies{RoundTrip: 30, After: c.after, Control: c.control}}}
			claims := r.claims()
			i := slices.IndexFunc(claims, func(one report.Claim) bool { return one.Row == "Sequence.Next when the rate doubles" })
			if i < 0 || claims[i].Verdict != c.want {
				t.Errorf("%+v, want %s", claims, c.want)
			}
		})
	}
}
