package idgen

import (
	"context"

	"github.com/google/uuid"
)

// UUIDv4 makes random UUIDs (RFC 9562, section 5.4): 122 random bits from
// crypto/rand, drawn in stock. They have no order. The zero value is ready.
type UUIDv4 struct{}

var _ Generator[uuid.UUID] = (*UUIDv4)(nil)

// Next returns a new UUID. It never waits and never fails.
func (*UUIDv4) Next(context.Context) (uuid.UUID, error) {
	e := stocks.Get().(*entropy)
	id := v4(e)
	stocks.Put(e)
	return id, nil
}

// NextN fills dst. It never waits and never fails.
func (*UUIDv4) NextN(_ context.Context, dst []uuid.UUID) (int, error) {
	e := stocks.Get().(*entropy)
	for i := range dst {
		dst[i] = v4(e)
	}
	stocks.Put(e)
	return len(dst), nil
}

func v4(e *entropy) (id uuid.UUID) {
	copy(id[:], e.take(len(id)))
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}
