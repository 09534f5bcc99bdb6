package hunt

import (
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/idgen"
)

// contender is a way to make IDs that is put to the test.
type contender struct {
	name string
	open func(rdb *redis.Client, now func() time.Time) (generator, error)
	// split takes an ID apart: the number of the worker, and the place of the
	// ID among the worker's. Consecutive places are neighbours.
	split func(idgen.ID) (worker int, place int64)
}

type generator interface {
	idgen.Generator[idgen.ID]
	Close() error
}

// leaseTTL is how long a worker's number stays leased to a process that is not
// heard of, for all contenders.
const leaseTTL = 900 * time.Millisecond

func contenderNamed(name string) (contender, error) {
	for _, c := range []contender{snowflake(), setnx(), withoutQuarantine()} {
		if c.name == name {
			return c, nil
		}
	}
	return contender{}, fmt.Errorf("no contender %q", name)
}
