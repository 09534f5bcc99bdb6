package idgen

import "context"

// Generator makes unique IDs. All generators of this package are safe for
// concurrent use.
type Generator[T any] interface {
	// Next returns a new ID. It returns at once when ctx ends, whatever a
	// backend does; a generator that has an ID at hand does not look at ctx.
	// After an error the ID is the zero value, and nothing is owed.
	Next(ctx context.Context) (T, error)

	// NextN fills dst with new IDs, in ascending order if the generator's IDs
	// have an order, with one reservation: as a rule one lock, one atomic
	// operation or one round trip for all of them. It returns how many are
	// filled in, which is less than len(dst) only with an error. The IDs
	// dst[:n] are good whatever the error.
	NextN(ctx context.Context, dst []T) (int, error)
}
