package idgen

import "sync/atomic"

// piece is a part of a segment of which callers take numbers without a lock.
type piece struct {
	used atomic.Int64 // of size; it runs past it when callers find nothing left
	// All cores write to used, and read what follows: not on one cache line.
	_      [56]byte
	before int64 // the number before the first
	size   int64
}

// one takes a number. It reports false if none is left.
func (p *piece) one() (ID, bool) {
	n := p.used.Add(1)
	return ID(p.before + n), n <= p.size
}

// many takes numbers that follow one another, as many as are left or as dst can
// take, and returns how many. If it cannot fill dst, the piece is used up.
func (p *piece) many(dst []ID) int {
	want := int64(len(dst))
	if p.used.Load() >= p.size { // lest many times a large want overflow
		return 0
	}
	end := p.used.Add(want)
	start := end - want
	n := max(0, min(end, p.size)-start)
	for i := range n {
		dst[i] = ID(p.before + start + 1 + i)
	}
	return int(n)
}

func (p *piece) left() int64 { return max(0, p.size-p.used.Load()) }
