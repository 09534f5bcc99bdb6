package hunt

import (
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/idgen"
)

const (
	snowflakeWindow = leaseTTL / 3
	snowflakeSkew   = 200 * time.Millisecond
	// Few worker numbers, so that they are used again.
	snowflakeWorkerBits   = 4
	snowflakeSequenceBits = 22 - snowflakeWorkerBits
)

// snowflake is what the hunt is for.
func snowflake() contender {
	return contender{
		name: "Snowflake",
		open: func(rdb *redis.Client, now func() time.Time) (generator, error) {
			return newSnowflake(rdb, now)
		},
		split: func(id idgen.ID) (int, int64) {
			p, err := idgen.SplitSnowflake(id, epoch(), snowflakeWorkerBits)
			if err != nil {
				return -1, -1 // no neighbour of any
			}
			return p.Worker, p.Time.Sub(epoch()).Milliseconds()<<snowflakeSequenceBits | int64(p.Sequence)
		},
	}
}

func newSnowflake(rdb idgen.SnowflakeRedis, now func() time.Time) (*idgen.Snowflake, error) {
	return idgen.NewSnowflake(rdb, "hunt", idgen.Epoch(epoch()), idgen.Clock(now),
		idgen.Window(snowflakeWindow), idgen.Skew(snowflakeSkew), idgen.WorkerBits(snowflakeWorkerBits))
}
