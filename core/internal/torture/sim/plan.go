package sim

import (
	"math/rand/v2"
	"time"
)

// plan is what a seed makes of the world, before it begins.
type plan struct {
	lockers, callers, rounds, keys int

	ttl     time.Duration
	tenures []time.Duration // of each Locker
	heeds   []bool          // whether its client heeds deadlines, and so makes inline calls

	delay   time.Duration // of a message, at most, as a rule
	wire    int           // of 100 operations, how many go wrong on their way
	ears    int           // of 100 messages to a subscriber, how many are late or lost
	pauses  int           // of each process
	restart time.Duration // for how long Redis is away, at most
	// restarts is how often it is. With forgets its data is lost each time.
	restarts int
	forgets  bool

	leavers  int // of 100 callers, how many give up
	heedless int // of 100 holders, how many go on when they have lost the lock
}

func makePlan(r *rand.Rand) plan {
	p := plan{
		lockers: 2 + r.IntN(3),
		callers: 1 + r.IntN(3),
		rounds:  2 + r.IntN(3),
		keys:    1 + r.IntN(2),
		ttl:     []time.Duration{100, 200, 500, 1000}[r.IntN(4)] * time.Millisecond,
		delay:   []time.Duration{200, 2000, 20_000}[r.IntN(3)] * time.Microsecond,
		leavers: r.IntN(40), heedless: r.IntN(60),
	}
	for range p.lockers {
		p.tenures = append(p.tenures, []time.Duration{0, time.Millisecond, 10 * time.Millisecond, time.Second}[r.IntN(4)])
		p.heeds = append(p.heeds, r.IntN(2) == 0)
	}
	// A quarter has an orderly network: more can be told there.
	if r.IntN(4) > 0 {
		p.wire, p.ears = r.IntN(20), []int{0, 5, 20, 60}[r.IntN(4)]
		if r.IntN(2) == 0 {
			p.restarts, p.restart = 1+r.IntN(3), 2*p.ttl
			p.forgets = r.IntN(4) == 0
		}
		if r.IntN(2) == 0 {
			p.pauses = 1 + r.IntN(3)
		}
	}
	if p.orderly() && p.tidied() >= p.ttl {
		p.ttl *= 5 // what is left behind must be there when it is looked
	}
	return p
}

// orderly tells whether no message is lost, late or repeated.
func (p *plan) orderly() bool { return p.wire+p.ears+p.pauses+p.restarts == 0 }

// tidied is how long after its last caller a key has nothing in Redis, if nothing
// goes wrong.
func (p *plan) tidied() time.Duration { return 12*p.delay + 10*time.Millisecond }

// exact is for how long a lease may be there that nobody claims, if that can be
// told at all.
func (p *plan) exact() time.Duration {
	if !p.orderly() {
		return 0
	}
	return p.ttl + time.Second
}
