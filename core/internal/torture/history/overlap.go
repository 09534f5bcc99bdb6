package history

import (
	"fmt"
	"slices"
)

// Overlap is a grant that came while another had proof.
type Overlap struct {
	Earlier, Later *Attempt
	// Declared is set if Redis had forgotten one of them: see [Terms.Excuse].
	Declared bool
}

func (o Overlap) String() string { return fmt.Sprintf("%v while %v", o.Later, o.Earlier) }

// Overlaps is O2: from when the lock was returned until its proof ends or it is
// released, nobody else has proof. It returns one for each grant that came too
// early, and of several one that is not declared.
func Overlaps(attempts []*Attempt, terms Terms) []Overlap {
	holders := claiming(attempts)
	slices.SortStableFunc(holders, byReturn)
	var found []Overlap
	var present []*Attempt // those so far who have proof
	for _, a := range holders {
		present = slices.DeleteFunc(present, func(o *Attempt) bool { return o.end() <= a.Return })
		if len(present) > 0 {
			o := Overlap{Earlier: present[0], Later: a, Declared: true}
			for _, p := range present {
				if !terms.Excuse(p, a) {
					o.Earlier, o.Declared = p, false
				}
			}
			found = append(found, o)
		}
		present = append(present, a)
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

// Doubles is how many grants of a history came while another had proof, declared
// or not. It is what is measured: who may find none must not be told a constant.
func Doubles(attempts []Attempt, terms Terms) int {
	n := 0
	for key, all := range byKey(attempts) {
		n += len(Overlaps(all, terms.on(key)))
	}
	return n
}
