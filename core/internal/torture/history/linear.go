package history

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	// stretch is how many grants are checked at a time: what porcupine needs
	// grows with the square of it.
	stretch = 100
	// patience bounds the check of one stretch. A history that is a lock's takes
	// no time; what takes longer is no lock's as a rule.
	patience = 10 * time.Second
)

// step is one operation of the model: who takes the lock or gives it back, or
// finds it taken.
type step struct {
	what  stepKind
	who   int
	token uint64 // of who takes it; 0 if nobody knows
}

type stepKind uint8

const (
	takes stepKind = iota
	gives
	findsTaken
)

const nobody = -1

// state is who has the lock, and the last token that is known.
type state struct {
	owner int
	token uint64
}

// lock is the model. The tokens of those who take it rise: that is what O1 sees
// beyond O2 where refusals say nothing, and an order of its own beside the times.
// It is the same for a lock that is passed on inside a process, and for tokens that
// are reserved many at once: those who have a key, have it one after another, and
// nobody's token is reserved while another has the key.
var lock = porcupine.Model{
	Init: func() any { return state{owner: nobody} },
	Step: func(before, input, _ any) (bool, any) {
		was, s := before.(state), input.(step)
		switch s.what {
		case takes:
			rises := s.token == 0 || s.token > was.token
			return was.owner == nobody && rises, state{s.who, max(was.token, s.token)}
		case gives:
			return was.owner == s.who, state{nobody, was.token}
		default:
			return was.owner != nobody, was
		}
	},
	DescribeOperation: func(input, _ any) string {
		s := input.(step)
		return [...]string{"takes", "gives", "finds it taken"}[s.what] + fmt.Sprintf(" %d, token %d", s.who, s.token)
	},
}

var (
	errNoLock    = errors.New("is not the history of a lock")
	errUndecided = errors.New("cannot be shown to be the history of a lock")
)

// Linearizable is O1: each grant happened at one moment within its call, each
// end at one moment within the release, or after the proof's end if that came
// first; and at each grant the lock was free and its token higher than the last. A
// release that was not confirmed stays open for ever. What Redis forgot ends a
// history and begins another: see [Terms].
//
// With exact, a refusal is a moment at which the lock was taken, if only by an
// attempt whose outcome is unknown: that stays open, too, until such a lease must
// be gone. Without it refusals and open attempts say nothing: a lease that nobody
// knows of, of a message that was lost or repeated, may be the reason.
//
// A refusal beside another attempt of its process says nothing either: it may have
// stood in line behind that, which was refused itself.
//
// Attempts are in the order of their return.
func Linearizable(attempts []*Attempt, terms Terms) error {
	for _, part := range terms.remembered(attempts) {
		if err := linearizable(part, terms.Exact); err != nil {
			return err
		}
	}
	return nil
}

func linearizable(attempts []*Attempt, exact time.Duration) error {
	var open []*Attempt
	if exact > 0 {
		attempts, open = telling(attempts)
	}
	for _, p := range stretches(attempts) {
		switch porcupine.CheckOperationsTimeout(lock, p.steps(attempts, open, exact), patience) {
		case porcupine.Illegal:
			return fmt.Errorf("%w, between %v and %v", errNoLock, p.from, p.to)
		case porcupine.Unknown:
			return fmt.Errorf("%w, between %v and %v", errUndecided, p.from, p.to)
		}
	}
	return nil
}

// telling returns the attempts without those refusals that say nothing, and those
// whose outcome is open.
func telling(attempts []*Attempt) (tell, open []*Attempt) {
	calls, returns := map[int][]time.Duration{}, map[int][]time.Duration{}
	for _, a := range attempts {
		calls[a.Process] = append(calls[a.Process], a.Call)
		returns[a.Process] = append(returns[a.Process], a.Return)
	}
	for p := range calls {
		slices.Sort(calls[p])
		slices.Sort(returns[p])
	}
	for _, a := range attempts {
		if a.Outcome == Held {
			begun, _ := slices.BinarySearch(calls[a.Process], a.Return+1)
			over, _ := slices.BinarySearch(returns[a.Process], a.Call)
			if begun-over > 1 { // itself is one
				continue
			}
		}
		if !a.claims() && a.Outcome != Held && a.Outcome != Refused {
			open = append(open, a)
		}
		tell = append(tell, a)
	}
	return tell, open
}

// part is a stretch of a history. It begins and ends at a moment at which it is
// certain who has the lock: when it has just been returned to that holder. All
// else that is granted is either before that or after it.
type part struct {
	first, last int // attempts that return in it, with both holders
	from, to    time.Duration
}

func stretches(attempts []*Attempt) []part {
	parts := []part{{last: len(attempts) - 1, from: math.MinInt64, to: Never}}
	n := 0
	for i, a := range attempts {
		if !a.claims() {
			continue
		}
		if n++; n%stretch == 0 {
			p := &parts[len(parts)-1]
			p.last, p.to = i, a.Return
			parts = append(parts, part{first: i, last: len(attempts) - 1, from: a.Return, to: Never})
		}
	}
	return parts
}

// steps returns what happens in the stretch.
func (p part) steps(attempts, open []*Attempt, exact time.Duration) []porcupine.Operation {
	var ops []porcupine.Operation
	add := func(what stepKind, who int, token uint64, call, end time.Duration) {
		ops = append(ops, porcupine.Operation{
			ClientId: len(ops), Input: step{what, who, token}, Call: int64(call), Return: int64(end),
		})
	}
	for who := p.first; who <= p.last; who++ {
		switch a := attempts[who]; {
		case a.claims():
			call := max(a.Call, p.from+1)
			if a.Return == p.from {
				call = p.from // the lock is its holder's from the first moment
			}
			add(takes, who, a.Token, call, a.Return)
			add(gives, who, 0, a.end(), a.Back)
		case exact > 0 && a.Outcome == Held && a.Call > p.from:
			// One that lies across a boundary can always be found taken at it.
			add(findsTaken, who, 0, a.Call, a.Return)
		}
	}
	for i, a := range open {
		if a.Call <= p.to && a.Return+exact > p.from {
			who := len(attempts) + i
			add(takes, who, 0, max(a.Call, p.from+1), Never)
			add(gives, who, 0, max(a.Call, p.from+1), Never)
		}
	}
	return ops
}
