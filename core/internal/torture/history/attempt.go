// Package history has what callers of a lock saw, and the oracles that judge it.
//
// An oracle sees nothing but what callers see: when a call began and returned,
// what it came to, which fencing token it got, until when the lock was proven,
// when it was released. So it does not matter whether the callers ran in
// simulated time or in several processes, nor how the lock works.
//
//	O1  the history of each key is that of a lock: Linearizable
//	O2  no two holders have proof at once: Overlaps
//	O3  tokens are unique and rise, and a store that checks them takes no stale
//	    write: Tokens, Stale
//
//	O5  the lock is not left free while somebody waits, and a process's line
//	    keeps its order: Wakeups, Overtaken
//
// The other oracles about time (O4, O7), and that about what is left behind (O6),
// go by what the scenarios measure themselves.
package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Never is the time of what did not happen.
const Never time.Duration = math.MaxInt64

// Outcome is what an attempt came to.
type Outcome uint8

const (
	// Open is an attempt after which its caller holds nothing, but its lease may
	// have been granted, and may be there for a while: no answer, or a caller who
	// left before it came. The zero value: an attempt of a caller who was killed.
	Open Outcome = iota
	// Granted is an attempt that got the lock.
	Granted
	// Held is one that was refused because another had the lock.
	Held
	// Refused is one that was turned away without a look at the lock.
	Refused
)

// Attempt is one call to acquire a key, and what became of the lock. All times
// are since an epoch that all callers share.
type Attempt struct {
	Key          string
	Process      int // in which a process's callers stand in one line
	Caller       int // who called: for people
	Call, Return time.Duration
	Outcome      Outcome

	// Of a grant.
	Token  uint64
	First  time.Duration // until when it was proven when it was returned
	Proven time.Duration // until when it was proven, as far as its holder has seen
	Freed  time.Duration // when the holder began to release it, or Never
	Back   time.Duration // when the release was confirmed, or Never
}

// end is when the holder's claim ends.
func (a *Attempt) end() time.Duration { return min(a.Proven, a.Freed) }

// claims tells whether its holder ever had proof. One that was stopped before it
// got its hands on the lock may not.
func (a *Attempt) claims() bool { return a.Outcome == Granted && a.end() > a.Return }

func (a *Attempt) String() string {
	at := func(d time.Duration) string {
		if d == Never {
			return "never"
		}
		return d.String()
	}
	return fmt.Sprintf("token %d of caller %d (asked %v, granted %v, proven until %v, released %v)",
		a.Token, a.Caller, a.Call, a.Return, at(a.Proven), at(a.Freed))
}

// Violation is one finding of an oracle.
type Violation struct {
	Oracle string // "O2"
	Text   string
}

func (v Violation) String() string { return v.Oracle + ": " + v.Text }

// Terms say what can be expected of a run.
type Terms struct {
	// Forgot is when Redis lost what it knew, in order. See [Terms.Excuse] and [Terms.Unsure].
	Forgot []Loss
	// PassedOn is for how long after a loss a process may pass a lease that Redis
	// has forgotten on among its own requests: tokens may fall for so long. 0 is not
	// at all.
	PassedOn time.Duration
	// Late is how much later than that a process may do so because it, or Redis, was
	// late itself between two moments. nil is not at all.
	Late func(process int, from, to time.Duration) time.Duration
	// Proof is how long one proof lasts at most: so long before its end was sent
	// what it goes by. It is needed with Forgot.
	Proof time.Duration
	// Exact is set if no message was lost, late or repeated, and nothing was
	// forgotten: a lease that nobody claims is gone after so long, and a refusal
	// proves that somebody has one.
	Exact time.Duration
}

// Judge has all oracles look at a history, in any order, and at what its
// holders wrote to a fenced store.
func Judge(attempts []Attempt, writes []Write, terms Terms) []Violation {
	var found []Violation
	for key, all := range byKey(attempts) {
		terms := terms.on(key)
		at := func(oracle, text string) {
			found = append(found, Violation{oracle, fmt.Sprintf("key %s: %s", key, text)})
		}
		for _, o := range Overlaps(all, terms) {
			if !o.Declared {
				at("O2", o.String())
			}
		}
		if err := Linearizable(all, terms); err != nil {
			at("O1", err.Error())
		}
		for _, text := range Tokens(all, terms) {
			at("O3", text)
		}
	}
	for _, w := range Stale(attempts, writes, terms) {
		if w.Accepted {
			found = append(found, Violation{"O3", fmt.Sprintf("key %s: the fenced store took a stale write of %v",
				attempts[w.Attempt].Key, &attempts[w.Attempt])})
		}
	}
	return found
}

// byKey sorts attempts into those of each key, in the order of their return.
func byKey(attempts []Attempt) map[string][]*Attempt {
	keys := map[string][]*Attempt{}
	for i := range attempts {
		a := &attempts[i]
		keys[a.Key] = append(keys[a.Key], a)
	}
	for _, all := range keys {
		slices.SortStableFunc(all, func(a, b *Attempt) int { return cmp.Compare(a.Return, b.Return) })
	}
	return keys
}
