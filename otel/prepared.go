package lockotel

import (
	"maps"
	"sync"
	"sync/atomic"
)

// prepared keeps what is built once and used with every acquisition. Reading
// takes no lock and allocates nothing (a sync.Map would box each key), at the
// price of a copy of the map for each new entry; entries are as few as the
// names of locks. Over the limit nothing more is kept: a caller that puts keys
// into names then pays with time, not with memory.
type prepared[K comparable, V any] struct {
	limit   int
	writing sync.Mutex
	entries atomic.Pointer[map[K]V] // never changed once stored
}

func (p *prepared[K, V]) load(k K) (V, bool) {
	if m := p.entries.Load(); m != nil {
		v, ok := (*m)[k]
		return v, ok
	}
	var none V
	return none, false
}

// store keeps v for k unless there is an entry or the limit is reached, and
// returns the entry, or v.
func (p *prepared[K, V]) store(k K, v V) V {
	p.writing.Lock()
	defer p.writing.Unlock()
	if first, ok := p.load(k); ok {
		return first
	}
	next := make(map[K]V)
	if m := p.entries.Load(); m != nil {
		if len(*m) >= p.limit {
			return v
		}
		next = maps.Clone(*m)
	}
	next[k] = v
	p.entries.Store(&next)
	return v
}
