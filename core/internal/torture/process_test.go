package torture

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/torture/fleet"
	"github.com/latchkey-go/latchkey/core/internal/torture/history"
	"github.com/latchkey-go/latchkey/core/internal/torture/tally"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// under is the work of a fleet that is struck: mostly holding and waiting, so that
// a fault finds somebody at it.
func under(ttl time.Duration) fleet.Work {
	return fleet.Work{
		TTL: ttl, Wait: time.Minute, Keys: 4, Callers: 4, Hold: ttl / 10, Long: 20, Rest: ttl / 10,
		Impatient: 10, Leavers: 5, Heedless: 60, Watch: true,
	}
}

// count adds faults to a scenario's totals.
func count(s *tally.Tally, kind string, n int) {
	s.Count(func(t *tally.Totals) { t.Faults[kind] += n })
}

// mustSee fails a scenario in which something that it is about has not happened. A
// short form may be unlucky.
func mustSee(s *tally.Tally, what string, n int) {
	const long = 0.1
	s.Count(func(t *tally.Totals) {
		if *share >= long && n == 0 {
			t.Violations = append(t.Violations, "there is nothing to be seen: no "+what)
		}
	})
}

// victims are those whom faults of processes have struck.
type victims struct{ holding, waiting int }

func (v *victims) add(holding, waiting int) {
	v.holding += holding
	v.waiting += waiting
}

func (v *victims) tell(s *tally.Tally) {
	s.Count(func(t *tally.Totals) {
		t.Notes = append(t.Notes, fmt.Sprintf("struck: %d who held a lock, %d who waited for one", v.holding, v.waiting))
	})
	mustSee(s, "holder that was struck", v.holding)
	mustSee(s, "waiter who was struck", v.waiting)
}

// TestS4StoppedProcesses: a process that is stopped for longer than a lease lasts
// comes back as one who believes to hold what others have, or finds that it has
// been granted what has expired since.
func TestS4StoppedProcesses(t *testing.T) {
	t.Parallel()
	s := scenario(t, "S4")
	const ttl = 300 * time.Millisecond
	server := locktest.StartRedis(t)
	f := fleet.Start(t, server, server.Addr(), 4, under(ttl), chosen(s))
	var v victims
	for range size(5, 200) {
		f.Elapse(f.Between(0, ttl))
		holding, waiting := f.Freeze(1+int(f.Between(0, 1)), f.Between(ttl, 2*ttl))
		count(s, "process stopped", 1)
		v.add(holding, waiting)
	}
	conclude(s, f.End(), history.Terms{}) // who was stopped has his excuse
	v.tell(s)
	mustSee(s, "stale write", s.End().Lost)
}

// TestS5KilledProcesses: holders, waiters, and those who are just granted a lock.
func TestS5KilledProcesses(t *testing.T) {
	t.Parallel()
	s := scenario(t, "S5")
	const ttl = time.Second
	server := locktest.StartRedis(t)
	work := under(ttl)
	work.Prompt = true
	f := fleet.Start(t, server, server.Addr(), 5, work, chosen(s))
	var v victims
	for range size(5, 200) {
		f.Elapse(f.Between(0, ttl))
		holding, waiting := f.Kill(1 + int(f.Between(0, 1)))
		count(s, "process killed", 1)
		v.add(holding, waiting)
	}
	f.Elapse(2 * ttl)
	conclude(s, f.End(), history.Terms{})
	v.tell(s)
}
