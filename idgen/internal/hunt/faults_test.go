package hunt

import (
	"maps"
	"slices"
	"time"
)

// fault is something that happens to the processes or to their Redis.
type fault struct {
	name   string
	strike func(*hunt)
}

func faults() []fault {
	return []fault{
		{"frozen", (*hunt).freeze},
		{"killed", (*hunt).kill},
		{"closed", (*hunt).restart},
		{"cut off", (*hunt).cutOff},
		{"emptied", (*hunt).empty},
		{"rolled back", (*hunt).rollBack},
	}
}

// between returns a random time.
func (h *hunt) between(least, most time.Duration) time.Duration {
	return least + time.Duration(h.random.Int64N(int64(most-least)+1))
}

// some returns n different slots.
func (h *hunt) some(n int) []*slot {
	var s []*slot
	for _, i := range h.random.Perm(len(h.slots))[:n] {
		s = append(s, h.slots[i])
	}
	return s
}

// freeze stops a process beyond the TTL of its lease, during which another may
// take over its number: after a moment somebody new looks for one. It does not
// wait for the end of the stop.
func (h *hunt) freeze() {
	s := h.some(2)
	frozen, long := s[0].process(), h.between(leaseTTL+50*time.Millisecond, 2*leaseTTL)
	frozen.freeze()
	h.frozen.Go(func() {
		elapse(h.t.Context(), long)
		frozen.thaw()
	})
	h.elapse(0, 300*time.Millisecond)
	s[1].process().kill()
}

// kill ends a process with kill -9, and another takes its place at once.
func (h *hunt) kill() { h.some(1)[0].process().kill() }

// restart lets a process close its generator, and another takes its place.
func (h *hunt) restart() { h.some(1)[0].process().leave() }

// cutOff closes all connections to Redis: who waits for a reply gets none.
func (h *hunt) cutOff() { h.pair.proxy.hangUp() }

// empty restarts Redis without its data. Meanwhile some processes die, and
// those that take their places find all numbers free.
func (h *hunt) empty() {
	for _, s := range h.some(h.random.IntN(3)) {
		s.process().kill()
	}
	h.pair.empty(h.between(0, 400*time.Millisecond))
}

// rollBack undoes up to two TTLs of writes. Meanwhile processes die and others
// lease numbers, of which Redis then knows nothing.
func (h *hunt) rollBack() {
	h.pair.rollBack(func() {
		for _, s := range h.some(1 + h.random.IntN(2)) {
			s.process().kill()
			h.elapse(50*time.Millisecond, leaseTTL)
		}
	})
}

// names returns the names of faults, and what else is counted, in order.
func (c counts) names() []string { return slices.Sorted(maps.Keys(c)) }

// counts is how often things happened, by name.
type counts map[string]int
