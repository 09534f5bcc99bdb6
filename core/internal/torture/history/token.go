package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Tokens is the first half of O3: no token comes twice, and they rise with the
// holders. Of two holders with proof, the one whose lock was returned first came
// first. Where Redis may have forgotten the one that was returned last, or one had no
// proof, only that is certain which the callers could tell: one had the lock before
// the other asked.
func Tokens(attempts []*Attempt, terms Terms) []string {
	var found []string
	var granted []*Attempt
	seen := map[uint64]*Attempt{}
	for _, a := range attempts {
		if a.Outcome != Granted {
			continue
		}
		granted = append(granted, a)
		if other := seen[a.Token]; other != nil {
			found = append(found, fmt.Sprintf("%v and %v have one token", other, a))
		}
		seen[a.Token] = a
	}
	fell := func(a, b *Attempt) {
		if a != nil && a.Token >= b.Token {
			found = append(found, fmt.Sprintf("%v after %v", b, a))
		}
	}
	var last *Attempt
	holders := claiming(attempts)
	slices.SortStableFunc(holders, byReturn)
	for _, a := range holders {
		if last == nil || !terms.Unsure(last, a) {
			fell(last, a)
		}
		last = a
	}
	returned := slices.SortedStableFunc(slices.Values(granted), byReturn)
	var highest *Attempt // of those who had the lock before
	for _, a := range slices.SortedStableFunc(slices.Values(granted), byCall) {
		for ; len(returned) > 0 && returned[0].Return < a.Call; returned = returned[1:] {
			if highest == nil || returned[0].Token > highest.Token {
				highest = returned[0]
			}
		}
		fell(highest, a)
	}
	return found
}

func byReturn(a, b *Attempt) int { return cmp.Compare(a.Return, b.Return) }
func byCall(a, b *Attempt) int   { return cmp.Compare(a.Call, b.Call) }

// Write is what a holder has sent to a store. A store that checks fencing tokens
// accepts one unless it has seen a higher token for the key; its twin, which does
// not check, takes them all.
type Write struct {
	Attempt  int // whose holder it was: an index into the history
	Accepted bool
}

// Stale returns the writes that came after one of a later holder, of writes in
// the order in which the store got them: what the twin has lost, and what a
// fenced store must not accept. Who came later is told by times alone, as for
// [Tokens], never by tokens.
func Stale(attempts []Attempt, writes []Write, terms Terms) []Write {
	type seen struct {
		call   time.Duration // of who called last
		holder *Attempt      // who was granted last, with proof
	}
	latest := map[string]*seen{}
	var found []Write
	for _, w := range writes {
		a := &attempts[w.Attempt]
		s := latest[a.Key]
		if s == nil {
			s = &seen{call: -1}
			latest[a.Key] = s
		}
		before := a.claims() && s.holder != nil && a.Return < s.holder.Return && !terms.Unsure(a, s.holder)
		if a.Return < s.call || before {
			found = append(found, w)
			continue // the twin has it now, but the later one's stays the latest
		}
		s.call = max(s.call, a.Call)
		if a.claims() && (s.holder == nil || a.Return > s.holder.Return) {
			s.holder = a
		}
	}
	return found
}
