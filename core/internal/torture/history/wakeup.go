package history

import (
	"fmt"
	"slices"
	"time"
)

// Wakeups is O5 where no message is lost or late: a lock that is released does not
// stay free while somebody waits who had called a while before that, whoever gets it
// next. It returns a text for each time that it did. A release whose caller did not
// wait for the answer counts like any other: where no message is lost it arrives.
//
// It does not say who must be next: between processes that is told by turns, which
// last for a tenure and for as long as holders stay, and in which processes stand in
// the order that Redis saw. Within a process see [Overtaken].
func Wakeups(attempts []Attempt, soon time.Duration) []string {
	var found []string
	for _, all := range byKey(attempts) {
		holders := claiming(all)
		slices.SortStableFunc(holders, byReturn)
		for i, a := range holders {
			if a.Freed >= a.Proven {
				continue // it had lapsed, or was never released
			}
			free := Never // until when, as far as callers see
			if i+1 < len(holders) {
				free = holders[i+1].Return
			}
			if free <= a.Freed+soon {
				continue
			}
			for _, w := range all {
				// Who was there from before the release until after it should have ended.
				if w != a && w.Call+soon < a.Freed && w.Return > a.Freed+soon {
					found = append(found, fmt.Sprintf("caller %d, who had asked at %v, waited until %v, and the lock was free after the release of %v",
						w.Caller, w.Call, min(w.Return, free), a))
					break
				}
			}
		}
	}
	return found
}

// Overtaken is O5 where a call is in line at once: the line of a process is first
// come, first served, whatever happens. It returns a text for each grant to one who
// had called later than another of his process who was still in line.
func Overtaken(attempts []Attempt) []string {
	var found []string
	for _, all := range byKey(attempts) {
		for _, a := range all {
			if a.Outcome != Granted {
				continue
			}
			for _, w := range all {
				if w.Process == a.Process && w.Call < a.Call && w.Return > a.Return {
					found = append(found, fmt.Sprintf("%v before caller %d of its process, who had asked at %v and waited until %v",
						a, w.Caller, w.Call, w.Return))
					break
				}
			}
		}
	}
	return found
}
