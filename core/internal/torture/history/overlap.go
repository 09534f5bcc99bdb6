package history

import (
	"cmp"
	"fmt"
	"slices"
)

// Overlaps is O2: from when the lock was returned until its proof ends or it is
// released, nobody else has proof. It returns a text for each grant that came
// too early.
func Overlaps(attempts []*Attempt) []string {
	holders := claiming(attempts)
	slices.SortFunc(holders, func(a, b *Attempt) int { return cmp.Compare(a.Return, b.Return) })
	var found []string
	var last *Attempt // whose claim ends last, of those so far
	for _, a := range holders {
		if last != nil && a.Return < last.end() {
			found = append(found, fmt.Sprintf("%v while %v", a, last))
		}
		if last == nil || a.end() > last.end() {
			last = a
		}
	}
	return found
}

func claiming(attempts []*Attempt) []*Attempt {
	var holders []*Attempt
	for _, a := range attempts {
		if a.claims() {
			holders = append(holders, a)
		}
	}
	return holders
}

// Doubles is how many grants of a history came while another had proof: what
// [Overlaps] finds, where it is declared.
func Doubles(attempts []Attempt) int {
	n := 0
	for _, all := range byKey(attempts) {
		n += len(Overlaps(all))
	}
	return n
}
