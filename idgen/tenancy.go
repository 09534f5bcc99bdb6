package idgen

import "sync/atomic"

// tenancy is a worker number in the hands of a generator, and what it may still
// make with it. A word is a time in milliseconds since the epoch, followed by the
// sequence bits: the ID without its worker. Words are given out once each, in
// ascending order.
type tenancy struct {
	last    atomic.Uint64 // the last word that was given out
	ceiling atomic.Uint64 // words from here on are not ours to give

	worker       uint64
	sequenceBits uint // of a word
}

// sealed is above every ceiling.
const sealed = 1 << 63

// newTenancy returns a tenancy that gives out nothing before its ceiling is
// raised, and never a word below base.
func newTenancy(worker, base uint64, sequenceBits uint) *tenancy {
	t := &tenancy{worker: worker, sequenceBits: sequenceBits}
	t.last.Store(base - 1)
	t.ceiling.Store(base)
	return t
}

// noTenancy returns one that never gives out anything.
func noTenancy() *tenancy {
	t := &tenancy{}
	t.last.Store(sealed)
	return t
}

// take gives out up to n words, at least min of them or none: those from first
// on. The first is not below now. When the clock is set back, or more words are
// wanted than a millisecond has, words go on from the last one.
func (t *tenancy) take(now, n, min uint64) (first, got uint64) {
	for {
		last := t.last.Load()
		first = last + 1
		if now > first {
			first = now
		}
		ceiling := t.ceiling.Load()
		if first+min > ceiling {
			return 0, 0
		}
		got = n
		if first+n > ceiling {
			got = ceiling - first
		}
		if t.last.CompareAndSwap(last, first+got-1) {
			return first, got
		}
	}
}

// room returns how many words are left from now on.
func (t *tenancy) room(now uint64) uint64 {
	first, ceiling := max(now, t.last.Load()+1), t.ceiling.Load()
	return max(ceiling, first) - first
}

// raise lifts the ceiling. Only one goroutine raises.
func (t *tenancy) raise(ceiling uint64) {
	if ceiling > t.ceiling.Load() {
		t.ceiling.Store(ceiling)
	}
}

// seal makes sure that nothing more is given out.
func (t *tenancy) seal() { t.last.Store(sealed) }

// id is the ID of a word.
func (t *tenancy) id(word uint64) ID {
	bits := t.sequenceBits & 63 // tells the compiler that shifts need no check
	return ID(word>>bits<<sharedBits | t.worker<<bits | word&(1<<bits-1))
}

// fill makes the IDs of consecutive words: while the millisecond stays, each is
// the one before plus one.
func (t *tenancy) fill(dst []ID, word uint64) {
	perMilli := uint64(1) << (t.sequenceBits & 63)
	for len(dst) > 0 {
		same := min(uint64(len(dst)), perMilli-word&(perMilli-1))
		id := t.id(word)
		for i := range dst[:same] {
			dst[i] = id + ID(i)
		}
		dst, word = dst[same:], word+same
	}
}
