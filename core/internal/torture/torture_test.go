package torture

import (
	"context"
	"flag"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/torture/history"
	"github.com/latchkey-go/latchkey/core/internal/torture/tally"
)

// Without flags each scenario is short: go test runs them all.
var (
	share  = flag.Float64("share", 0, "how much of each full scenario; 0 is the quick form, 1 the full one")
	seed   = flag.Uint64("seed", 0, "the one seed of simulated time to replay, and what else is random; 0 for others")
	stop   = flag.Bool("stop", false, "end simulated time at the first violation")
	totals = flag.String("totals", "", "the folder to write totals to")
)

// most is how many findings of one scenario are told.
const most = 20

// size is how often something is to be done.
func size(quick, full int) int {
	if *share <= 0 {
		return quick
	}
	return max(quick, int(*share*float64(full)))
}

// scenario begins one, whose totals are told at the end of the test, and in which
// every violation fails it.
func scenario(t *testing.T, name string) *tally.Tally {
	redis.SetLogger(silence{}) // faults are no news here
	s := tally.New(name)
	t.Cleanup(func() {
		end := s.End()
		t.Logf("%s: %d attempts, %d grants, %d faults (%v), %d ambiguous replies, %d double grants, %d stale writes refused, %d accepted, %d lost by the twin, in %.1f s",
			end.Scenario, end.Attempts, end.Grants, end.Faults.Sum(), end.Faults, end.Ambiguous, end.Doubles, end.Refused, end.Accepted, end.Lost, end.Seconds)
		if t.Failed() && len(end.Violations) == 0 {
			end.Violations = append(end.Violations, "the test has failed, see its output")
		}
		for _, note := range end.Notes {
			t.Log(note)
		}
		for i, v := range end.Violations {
			if i == most {
				t.Errorf("and %d more", len(end.Violations)-most)
				break
			}
			t.Errorf("VIOLATION %s", v)
		}
		if *totals != "" {
			if err := end.Save(*totals); err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

// judge counts a history in, and what is wrong with it. What the twin of the store
// has lost is counted by who has it.
func judge(s *tally.Tally, attempts []history.Attempt, writes []history.Write, terms history.Terms) []history.Violation {
	found := history.Judge(attempts, writes, terms)
	doubles := history.Doubles(attempts, terms)
	stale := history.Stale(attempts, writes, terms)
	s.Count(func(t *tally.Totals) {
		t.Attempts += len(attempts)
		for _, a := range attempts {
			if a.Outcome == history.Granted {
				t.Grants++
			}
		}
		t.Doubles += doubles
		for _, w := range stale {
			if w.Accepted {
				t.Accepted++
			} else {
				t.Refused++
			}
		}
	})
	return found
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}
