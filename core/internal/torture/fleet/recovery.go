package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

// recoveries is O5, if the only faults were deaths: who waits is in soon after a
// release, and within a TTL after the holder has been killed. Whoever is killed
// while the lock is on its way to him costs one TTL more. What the machine was
// late itself does not count.
func (f *Fleet) recoveries() []history.Violation {
	if !f.work.Prompt {
		return nil
	}
	var found []history.Violation
	holders := map[string][]*history.Attempt{}
	for i := range f.ledger.attempts {
		if a := &f.ledger.attempts[i]; a.Outcome == history.Granted {
			holders[a.Key] = append(holders[a.Key], a)
		}
	}
	for key, all := range holders {
		slices.SortFunc(all, func(a, b *history.Attempt) int { return cmp.Compare(a.Return, b.Return) })
		for i, a := range all[:max(0, len(all)-1)] {
			next := all[i+1]
			free, within := a.Freed, grace
			if a.Back == history.Never {
				dead := slices.IndexFunc(f.deaths, func(d death) bool { return d.process == a.Process })
				if dead < 0 {
					continue
				}
				free, within = f.deaths[dead].at, f.work.TTL+grace
			}
			for _, d := range f.deaths {
				if d.process != a.Process && d.at > free-grace && d.at < free+grace {
					within += f.work.TTL
				}
			}
			within += f.lagWithin(free, next.Return)
			if took := next.Return - free; next.Call+grace < free && took > within {
				found = append(found, history.Violation{Oracle: "O5", Text: fmt.Sprintf(
					"key %s was free after %v, and the next who waited had it after another %v", key, free, took)})
			}
		}
	}
	return found
}

// lagWithin is how late the timers of the parent, or of a process, were between
// two moments.
func (f *Fleet) lagWithin(from, to time.Duration) time.Duration {
	most := f.lag.within(from, to)
	for _, m := range f.ledger.lags {
		most = max(most, m.within(from, to))
	}
	return most
}
