package idgen

import "sync/atomic"

// workerWindow is a worker number in the hands of a generator, and what it may still
// make with it. A word is a time in milliseconds since the epoch, followed by the
// sequence bits: the ID without its worker. Words are given out once each, in
// ascending order.
type workerWindow struct {
	last    atomic.Uint64 // the last word that was given out
	ceiling atomic.Uint64 // words from here on are not ours to give

	worker       uint64
	sequenceBits uint // of a word
}

// sealed is above every ceiling.
const sealed = 1 << 63

// newWindow returns a window that gives out nothing before its ceiling is
// raised, and never a word below base.
func newWindow(worker, base uint64, sequenceBits uint) *workerWindow {
	t := &workerWindow{worker: worker, sequenceBits: sequenceBits}
	t.last.Store(base - 1)
	t.ceiling.Store(base)
	return t
}

// noWindow returns one that never gives out anything.
func noWindow() *workerWindow {
	t := &workerWindow{}
	t.last.Store(sealed)
	return t
}

// take gives out up to n words, at least min of them or none: those from first
// on. The first is not below now. When the clock is set back, or more words are
// wanted than a millisecond has, words go on from the last one.
func (w *workerWindow) take(now, n, min uint64) (first, got uint64) {
	for {
		last := w.last.Load()
		first = last + 1
		if now > first {
			first = now
		}
		ceiling := w.ceiling.Load()
		if first+min > ceiling {
			return 0, 0
		}
		got = n
		if first+n > ceiling {
			got = ceiling - first
		}
		if w.last.CompareAndSwap(last, first+got-1) {
			return first, got
		}
	}
}

// room returns how many words are left from now on.
func (w *workerWindow) room(now uint64) uint64 {
	first, ceiling := max(now, w.last.Load()+1), w.ceiling.Load()
	return max(ceiling, first) - first
}

// raise lifts the ceiling. Only one goroutine raises.
func (w *workerWindow) raise(ceiling uint64) {
	if ceiling > w.ceiling.Load() {
		w.ceiling.Store(ceiling)
	}
}

// seal makes sure that nothing more is given out.
func (w *workerWindow) seal() { w.last.Store(sealed) }

// id is the ID of a word.
func (w *workerWindow) id(word uint64) ID {
	bits := w.sequenceBits & 63 // tells the compiler that shifts need no check
	return ID(word>>bits<<sharedBits | w.worker<<bits | word&(1<<bits-1))
}

// fill makes the IDs of consecutive words: while the millisecond stays, each is
// the one before plus one.
func (w *workerWindow) fill(dst []ID, word uint64) {
	perMilli := uint64(1) << (w.sequenceBits & 63)
	for len(dst) > 0 {
		same := min(uint64(len(dst)), perMilli-word&(perMilli-1))
		id := w.id(word)
		for i := range dst[:same] {
			dst[i] = id + ID(i)
		}
		dst, word = dst[same:], word+same
	}
}
