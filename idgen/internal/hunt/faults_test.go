package hunt

import "time"

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
// take over its number: after a moment somebody new looks for one.
func (h *hunt) freeze() {
	s := h.some(2)
	h.freezeFor(s[0], h.between(leaseTTL+50*time.Millisecond, 2*leaseTTL))
	h.elapse(0, 300*time.Millisecond)
	s[1].process().kill()
}

// freezeFor does not wait for the end of the stop.
func (h *hunt) freezeFor(s *slot, d time.Duration) {
	p := s.process()
	p.freeze()
	h.frozen.Go(func() {
		elapse(h.t.Context(), d)
		p.thaw()
	})
}

// kill ends a process with kill -9, and another takes its place at once.
func (h *hunt) kill() { h.some(1)[0].process().kill() }

// restart lets a process close its generator, and another takes its place.
func (h *hunt) restart() { h.some(1)[0].process().leave() }

// cutOff closes all connections to Redis: who waits for a reply gets none.
func (h *hunt) cutOff() { h.pair.proxy.hangUp() }

// empty restarts Redis without its data. Some processes die with it, and those
// that take their places find all numbers free, before others have heard of it.
func (h *hunt) empty() {
	s := h.some(6)
	h.lateAndNew(s[:3], s[3:])
	h.pair.empty(h.between(0, 150*time.Millisecond))
}

// rollBack undoes up to two TTLs of writes. Meanwhile processes die and others
// lease numbers, of which Redis then knows nothing; and the next ones come.
func (h *hunt) rollBack() {
	s := h.some(4)
	h.pair.rollBack(func() {
		for _, s := range s[:2] {
			s.process().kill()
			h.elapse(50*time.Millisecond, leaseTTL)
		}
		h.lateAndNew(s[:2], s[2:])
	})
}

// lateAndNew freezes some processes for less than what they have leased lasts,
// so that they are late to hear what has become of Redis, and lets others
// begin anew.
func (h *hunt) lateAndNew(late, anew []*slot) {
	for _, s := range late {
		h.freezeFor(s, h.between(leaseTTL/9, leaseTTL/3))
	}
	for _, s := range anew {
		s.process().kill()
	}
}
