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
// the other asked. See [Terms.PassedOn] for what is excepted.
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
	hadIt := newPast(granted)
	for _, a := range slices.SortedStableFunc(slices.Values(granted), byCall) {
		fell(hadIt.highest(terms.before(a)), a)
	}
	return found
}

// past is who had the lock before a moment.
type past struct {
	returned []*Attempt // the grants, in the order of their returns
	highs    []*Attempt // the highest token of each and those before it
}

func newPast(granted []*Attempt) past {
	p := past{returned: slices.SortedStableFunc(slices.Values(granted), byReturn)}
	for i, a := range p.returned {
		if i > 0 && p.highs[i-1].Token >= a.Token {
			a = p.highs[i-1]
		}
		p.highs = append(p.highs, a)
	}
	return p
}

// highest is who had the highest token of those whose lock was returned before a
// moment, or nil.
func (p past) highest(moment time.Duration) *Attempt {
	n, _ := slices.BinarySearchFunc(p.returned, moment, func(a *Attempt, t time.Duration) int { return cmp.Compare(a.Return, t) })
	if n == 0 {
		return nil
	}
	return p.highs[n-1]
}

// PassedOn counts the grants whose tokens were lower than that of one who had had the
// lock before they were asked for, whether that is allowed or not. last is how long
// after the loss before it the latest of them came.
func PassedOn(attempts []Attempt, terms Terms) (n int, last time.Duration) {
	for key, all := range byKey(attempts) {
		granted := slices.DeleteFunc(all, func(a *Attempt) bool { return a.Outcome != Granted })
		hadIt := newPast(granted)
		for _, a := range granted {
			if high := hadIt.highest(a.Call); high == nil || high.Token < a.Token {
				continue
			}
			n++
			var loss time.Duration
			for _, l := range terms.on(key).Forgot {
				if l.From <= a.Return {
					loss = l.From
				}
			}
			last = max(last, a.Return-loss)
		}
	}
	return n, last
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
		call   time.Duration // of who called last, see [Terms.before]
		holder *Attempt      // who was granted last, with proof
		terms  Terms
	}
	latest := map[string]*seen{}
	var found []Write
	for _, w := range writes {
		a := &attempts[w.Attempt]
		s := latest[a.Key]
		if s == nil {
			s = &seen{call: -1, terms: terms.on(a.Key)}
			latest[a.Key] = s
		}
		before := a.claims() && s.holder != nil && a.Return < s.holder.Return && !s.terms.Unsure(a, s.holder)
		if a.Return < s.call || before {
			found = append(found, w)
			continue // the twin has it now, but the later one's stays the latest
		}
		s.call = max(s.call, s.terms.before(a))
		if a.claims() && (s.holder == nil || a.Return > s.holder.Return) {
			s.holder = a
		}
	}
	return found
}
