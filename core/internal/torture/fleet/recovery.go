package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

// recoveries is O5, if the only faults were deaths: who waits is in soon after a
// release, and within a TTL after the holder has been killed. What the machine was
// late itself does not count.
func (f *Fleet) recoveries() []history.Violation {
	if !f.work.Prompt {
		return nil
	}
	var found []history.Violation
	wanted := map[string][]*history.Attempt{}
	for i := range f.ledger.attempts {
		a := &f.ledger.attempts[i]
		wanted[a.Key] = append(wanted[a.Key], a)
	}
	for key, all := range wanted {
		holders := slices.DeleteFunc(slices.Clone(all), func(a *history.Attempt) bool { return a.Outcome != history.Granted })
		slices.SortFunc(holders, func(a, b *history.Attempt) int { return cmp.Compare(a.Return, b.Return) })
		for i, a := range holders[:max(0, len(holders)-1)] {
			next := holders[i+1]
			free, within, ok := f.recovery(a, all)
			if !ok {
				continue
			}
			within += f.lagWithin(free, next.Return)
			if took := next.Return - free; next.Call+grace < free && took > within {
				found = append(found, history.Violation{Oracle: "O5", Text: fmt.Sprintf(
					"key %s was free after %v, and the next who waited had it after another %v, of %v at most", key, free, took, within)})
			}
		}
	}
	return found
}

// recovery is since when there was nobody to hold the lock after a, and within what
// time the next in line is to have it. all are the attempts for the same key.
//
// Redis gives the lock to the first in line who still listens: at the release, or
// when the lease of a dead holder expires, which is between the last proof that he
// has told and a TTL after his death. Who is killed just then, before he can tell
// of it, costs one TTL more: his own lease has to expire, too. Who died before that
// listens no more and is passed over; who wanted another key costs nothing.
func (f *Fleet) recovery(a *history.Attempt, all []*history.Attempt) (free, within time.Duration, ok bool) {
	free = a.Freed
	passed, until := free-grace, free+grace
	if a.Back == history.Never {
		dead := slices.IndexFunc(f.deaths, func(d death) bool { return d.process == a.Process })
		if dead < 0 {
			return 0, 0, false
		}
		free = f.deaths[dead].at
		passed, until = min(a.Freed, max(a.Proven, a.Return))-grace, free+f.work.TTL+grace
	}
	for _, d := range f.deaths { // in their order
		if d.process != a.Process && d.at > passed && d.at < until && d.wanted(all) {
			until += f.work.TTL
		}
	}
	return free, until - free, true
}

// wanted tells whether the process that was killed waited for the key of these
// attempts, or had the lock, or had just left.
func (d death) wanted(all []*history.Attempt) bool {
	return slices.ContainsFunc(all, func(a *history.Attempt) bool {
		end := a.Return
		if a.Outcome == history.Granted {
			end = a.Back
		}
		return a.Process == d.process && a.Call < d.at && end > d.at-grace
	})
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
