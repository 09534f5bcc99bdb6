package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

// recoveries is O5, if the only faults were deaths: who waits is in soon after a
// release, and within a TTL after the holder has been killed, or somebody else is.
// Who waited, and not who was next: a newcomer who finds the lock free does not make
// good a wake-up that was lost. What the machine was late itself does not count.
func (f *Fleet) recoveries() []history.Violation {
	if !f.work.Prompt {
		return nil
	}
	ends := f.ledger.ends(f.deaths)
	var found []history.Violation
	wanted := map[string][]*history.Attempt{}
	for i := range f.ledger.attempts {
		a := &f.ledger.attempts[i]
		wanted[a.Key] = append(wanted[a.Key], a)
	}
	for key, all := range wanted {
		holders := slices.DeleteFunc(slices.Clone(all), func(a *history.Attempt) bool { return a.Outcome != history.Granted })
		slices.SortFunc(holders, func(a, b *history.Attempt) int { return cmp.Compare(a.Return, b.Return) })
		for i, a := range holders {
			next := history.Never // until when the lock was free, as far as is told
			if i+1 < len(holders) {
				next = holders[i+1].Return
			}
			free, ok := f.freed(a)
			if !ok || next <= free+grace {
				continue
			}
			for _, w := range all {
				if w.Call+grace >= free {
					continue
				}
				until := min(w.Return, next) // he had waited since before the release
				if end, died := ends[w.Process]; died {
					until = min(until, end-grace) // what he had just got he could not tell
				}
				if until <= free+grace {
					continue
				}
				within := f.recovery(a, all, f.lagWithin(a.Process, w.Process, free, until))
				if took := until - free; took > within {
					found = append(found, history.Violation{Oracle: "O5", Text: fmt.Sprintf(
						"key %s was free after %v, and one of process %d who had asked at %v waited for another %v, of %v at most",
						key, free, w.Process, w.Call, took, within)})
					break
				}
			}
		}
	}
	return found
}

// freed is since when there was nobody to hold the lock after a, if that is known.
func (f *Fleet) freed(a *history.Attempt) (at time.Duration, ok bool) {
	if a.Back != history.Never {
		return a.Freed, true
	}
	dead := slices.IndexFunc(f.deaths, func(d death) bool { return d.process == a.Process })
	if dead < 0 {
		return 0, false
	}
	return f.deaths[dead].at, true
}

// recovery is within what time after a has freed the lock the next in line is to have
// it, on a machine that was late for so long itself. all are the attempts for the
// same key.
//
// Redis gives the lock to the first in line who still listens: at the release, or
// when the lease of a dead holder expires, which is between the last proof that he
// has told and a TTL after his death. Who is killed just then, before he can tell
// of it, costs one TTL more: his own lease has to expire, too. Who died before that
// listens no more and is passed over; who wanted another key costs nothing.
func (f *Fleet) recovery(a *history.Attempt, all []*history.Attempt, lag time.Duration) time.Duration {
	free, _ := f.freed(a)
	passed, until := free-grace, free+grace+lag
	if a.Back == history.Never {
		passed, until = min(a.Freed, max(a.Proven, a.Return))-grace, until+f.work.TTL
	}
	for _, d := range f.deaths { // in their order
		if d.process != a.Process && d.at > passed && d.from < until && d.wanted(all) {
			until += f.work.TTL
		}
	}
	return until - free
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

// lagWithin is for how long a handoff was late between two moments, without being to
// blame. It is a chain: the one who releases, Redis, the one who waits, and perhaps
// another, who was next and had just left.
func (f *Fleet) lagWithin(from, to int, begin, end time.Duration) time.Duration {
	sum, other := f.ledger.redis.within(begin, end), time.Duration(0)
	for process, m := range f.ledger.lags {
		late := m.within(begin, end)
		if process == uint32(from) || process == uint32(to) {
			sum += late
		} else {
			other = max(other, late)
		}
	}
	return sum + other
}
