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
	left := func(process int, at time.Duration) history.Attempt { // when its wait was over
		a := waits(process, "k0")
		a.Return = begun + at
		return a
	}
	released := granted(1, 0, 2*second, 3*second) // at 2 s
	died := granted(1, 0, never, 3*second)        // its process, at 2 s
	for _, c := range []struct {
		name     string
		holder   history.Attempt
		other    history.Attempt // another who waits
		deaths   []death
		in       time.Duration // after which the next has the lock, or Never
		newcomer bool          // he called only then
		late     []int         // processes that were late then for 100 ms each; 0 is Redis
		violates bool
	}{
		{name: "released, in soon", holder: released, in: grace},
		{name: "released, not so", holder: released, in: grace + 1, violates: true},
		{name: "released to one who died", holder: released, other: waits(2, "k0"), deaths: []death{{2, at(2 * second), at(2 * second)}}, in: second + grace},
		{name: "and no longer", holder: released, other: waits(2, "k0"), deaths: []death{{2, at(2 * second), at(2 * second)}}, in: second + grace + 1, violates: true},
		{name: "released, one died who waited for another key", holder: released, other: waits(2, "k1"), deaths: []death{{2, at(2 * second), at(2 * second)}}, in: second, violates: true},
		{name: "released, one had died before", holder: released, other: waits(2, "k0"), deaths: []death{{2, at(second), at(second)}}, in: second, violates: true},
		{name: "died, in after a TTL", holder: died, deaths: []death{{1, at(2 * second), at(2 * second)}}, in: second + grace},
		{name: "died, not so", holder: died, deaths: []death{{1, at(2 * second), at(2 * second)}}, in: second + grace + 1, violates: true},
		{name: "died with one in line", holder: died, other: waits(2, "k0"), deaths: []death{{1, at(2 * second), at(2 * second)}, {2, at(2 * second), at(2 * second)}}, in: second + grace + 1, violates: true},
		{name: "free until a newcomer came", holder: released, in: 30 * second, newcomer: true},
		{name: "who is in before one who waited", holder: released, other: left(2, 33*second), in: 30 * second, newcomer: true, violates: true},
		{name: "before one who had left", holder: released, other: left(2, 2*second+grace), in: 30 * second, newcomer: true},
		{name: "before one who had died", holder: released, other: waits(2, "k0"), deaths: []death{{2, at(2*second + grace), at(2*second + grace)}},
			in: 30 * second, newcomer: true},
		{name: "before one who died long after", holder: released, other: waits(2, "k0"), deaths: []death{{2, at(10 * second), at(10 * second)}},
			in: 30 * second, newcomer: true, violates: true},
		{name: "nobody is in, and one waits", holder: released, other: left(2, 33*second), in: never, violates: true},
		{name: "nobody is in, and nobody waits", holder: released, in: never},
		{name: "late, as all on the way", holder: released, in: grace + 300*time.Millisecond, late: []int{1, 0, 3}},
		{name: "late, as two others", holder: released, in: grace + 200*time.Millisecond, late: []int{4, 5}, violates: true},
		{name: "expired, and went to one who died", holder: died, other: waits(2, "k0"), deaths: []death{{1, at(2 * second), at(2 * second)}, {2, at(3 * second), at(3 * second)}}, in: 2*second + grace},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &Fleet{work: Work{TTL: second, Prompt: true}, ledger: newLedger(), deaths: c.deaths}
			f.ledger.attempts = []history.Attempt{c.holder}
			if c.in != never {
				next := granted(3, 0, never, never)
				if next.Return = at(2*second + c.in); c.newcomer {
					next.Call = next.Return
				}
				f.ledger.attempts = append(f.ledger.attempts, next)
			}
			if c.other.Key != "" {
				f.ledger.attempts = append(f.ledger.attempts, c.other)
			}
			for _, d := range c.deaths {
				f.ledger.beats[uint32(d.process)] = d.from
			}
			for _, process := range c.late {
				meter := &f.ledger.redis
				if process > 0 {
					meter = f.ledger.lagOf(uint32(process))
				}
				meter.add(lateness{at(2*second + 100*time.Millisecond), 100 * time.Millisecond})
			}
			if found := f.recoveries(); (len(found) > 0) != c.violates {
				t.Errorf("found %v", found)
			}
		})
	}
}
