package idgen

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Typed makes IDs that tell what they identify: see [TypedID]. It takes their
// numbers, or UUIDs, from another generator, and is safe for concurrent use if
// that one is. It has nothing to close; the other generator remains its owner's.
type Typed[P Prefix, V Value] struct {
	generator Generator[V]
	// scratch holds *[]V for NextN. A []TypedID[P, V] has the memory of a []V, but
	// only package unsafe could make one of the other; and one call of the
	// generator with one buffer is what keeps the promise of one reservation.
	scratch sync.Pool
}

func _[P Prefix, V Value](t *Typed[P, V]) Generator[TypedID[P, V]] { return t }

// maxScratch is the longest buffer that is kept between calls, in IDs.
const maxScratch = 4096

// NewTyped returns a generator whose IDs have the prefix of P and are otherwise
// those of generator. The type of the latter need not be written:
// NewTyped[Order](snowflake). The error matches [ErrOption] if the prefix breaks
// the rule (see [Prefix]) or the generator is nil.
func NewTyped[P Prefix, V Value](generator Generator[V]) (*Typed[P, V], error) {
	_, err := prefixOf[P]()
	if generator == nil {
		err = errors.Join(err, fmt.Errorf("%w: the generator is nil", ErrOption))
	}
	if err != nil {
		return nil, err
	}
	return &Typed[P, V]{generator: generator}, nil
}

// Next returns a new ID. It waits and fails as the generator does, and allocates
// nothing of its own.
func (t *Typed[P, V]) Next(ctx context.Context) (TypedID[P, V], error) {
	v, err := t.generator.Next(ctx)
	return TypedID[P, V]{raw: v}, err
}

// NextN fills dst in one call of the generator's NextN: with what that promises
// about order and reservation, and its errors. The buffer that it takes is used
// again for up to 4096 IDs; a longer dst costs an allocation for each call.
func (t *Typed[P, V]) NextN(ctx context.Context, dst []TypedID[P, V]) (int, error) {
	buf, ok := t.scratch.Get().(*[]V)
	if !ok {
		buf = new([]V)
	}
	if cap(*buf) < len(dst) {
		*buf = make([]V, len(dst))
	}
	raw := (*buf)[:len(dst)]
	n, err := t.generator.NextN(ctx, raw)
	for i, v := range raw[:n] {
		dst[i] = TypedID[P, V]{raw: v}
	}
	if cap(raw) <= maxScratch {
		t.scratch.Put(buf)
	}
	return n, err
}
