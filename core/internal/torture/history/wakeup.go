package history

import (
	"fmt"
	"slices"
	"time"
)

// Wakeups is O5 where no message is lost or late: when a lock is released while
// another waits, and has for a while, then somebody has it soon. It returns a text
// for each time that nobody had.
func Wakeups(attempts []Attempt, soon time.Duration) []string {
	var found []string
	for _, all := range byKey(attempts) {
		holders := claiming(all)
		slices.SortStableFunc(holders, byReturn)
		for i, a := range holders[:max(0, len(holders)-1)] {
			next := holders[i+1]
			if a.Back != Never && next.Call+soon < a.Freed && next.Return > a.Freed+soon {
				found = append(found, fmt.Sprintf("%v waited for %v after the release of %v", next, next.Return-a.Freed, a))
			}
		}
	}
	return found
}
