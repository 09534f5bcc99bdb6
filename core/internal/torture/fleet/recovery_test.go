package fleet

import (
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

// A death costs the next in line a TTL only if the lock was on its way to the dead.
func TestADeathCostsATTLOnlyWhereItMust(t *testing.T) {
	const second, never = time.Second, history.Never
	const begun = 100 * second
	at := func(d time.Duration) time.Duration {
		if d == never {
			return never
		}
		return begun + d
	}
	granted := func(process int, call, freed, proven time.Duration) history.Attempt {
		return history.Attempt{Key: "k0", Process: process, Call: at(call), Return: at(call), Outcome: history.Granted,
			Proven: at(proven), Freed: at(freed), Back: at(freed)}
	}
	waits := func(process int, key string) history.Attempt {
		return history.Attempt{Key: key, Process: process, Call: at(0), Return: never, Proven: never, Freed: never, Back: never}
	}
	released := granted(1, 0, 2*second, 3*second) // at 2 s
	died := granted(1, 0, never, 3*second)        // its process, at 2 s
	for _, c := range []struct {
		name     string
		holder   history.Attempt
		dead     history.Attempt // another who waits
		deaths   []death
		in       time.Duration // after which the next has the lock
		violates bool
	}{
		{name: "released, in soon", holder: released, in: grace},
		{name: "released, not so", holder: released, in: grace + 1, violates: true},
		{name: "released to one who died", holder: released, dead: waits(2, "k0"), deaths: []death{{2, at(2 * second), at(2 * second)}}, in: second + grace},
		{name: "and no longer", holder: released, dead: waits(2, "k0"), deaths: []death{{2, at(2 * second), at(2 * second)}}, in: second + grace + 1, violates: true},
		{name: "released, one died who waited for another key", holder: released, dead: waits(2, "k1"), deaths: []death{{2, at(2 * second), at(2 * second)}}, in: second, violates: true},
		{name: "released, one had died before", holder: released, dead: waits(2, "k0"), deaths: []death{{2, at(second), at(second)}}, in: second, violates: true},
		{name: "died, in after a TTL", holder: died, deaths: []death{{1, at(2 * second), at(2 * second)}}, in: second + grace},
		{name: "died, not so", holder: died, deaths: []death{{1, at(2 * second), at(2 * second)}}, in: second + grace + 1, violates: true},
		{name: "died with one in line", holder: died, dead: waits(2, "k0"), deaths: []death{{1, at(2 * second), at(2 * second)}, {2, at(2 * second), at(2 * second)}}, in: second + grace + 1, violates: true},
		{name: "expired, and went to one who died", holder: died, dead: waits(2, "k0"), deaths: []death{{1, at(2 * second), at(2 * second)}, {2, at(3 * second), at(3 * second)}}, in: 2*second + grace},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &Fleet{work: Work{TTL: second, Prompt: true}, ledger: newLedger(), deaths: c.deaths}
			next := granted(3, 0, never, never)
			next.Return = at(2*second + c.in)
			f.ledger.attempts = []history.Attempt{c.holder, next}
			if c.dead.Key != "" {
				f.ledger.attempts = append(f.ledger.attempts, c.dead)
			}
			if found := f.recoveries(); (len(found) > 0) != c.violates {
				t.Errorf("found %v", found)
			}
		})
	}
}
