package main

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/idgen"
)

// maker is what a contender is to its callers.
type maker struct {
	// one makes n IDs, one a call. It is safe for concurrent use.
	one func(n int) error
	// batch makes n IDs, 1,000 a call, for one caller at a time. It is nil if
	// the contender makes one ID a call only.
	batch func(n int) error
	close func() error // nil if there is nothing to close
	// stock is how many IDs it may have at hand, beyond those of the time.
	stock int
}

// surroundings are what a contender may want to know.
type surroundings struct {
	scenario scenario
	rdb      *redis.Client
	name     string // of a sequence or a generator that nobody has used yet
}

// contender is one way to make IDs.
type contender struct {
	name string
	fits func(scenario) bool
	open func(context.Context, surroundings) (maker, error)
}

func alone(s scenario) bool        { return !s.Batch && !s.Sustained }
func notBatch(s scenario) bool     { return !s.Batch }
func aloneOrBatch(s scenario) bool { return !s.Sustained }
func sustained(s scenario) bool    { return s.Sustained }

const (
	nameUUIDv7 = "idgen UUIDv7"
	nameUUIDv4 = "idgen UUIDv4"

	nameSeamSnowflake    = "idgen Snowflake, seam"
	nameWideSnowflake    = "idgen Snowflake, system clock"
	nameDefaultSnowflake = "idgen Snowflake"

	nameSequence = "idgen Sequence"
	nameINCR     = "Redis INCR"

	nameGoogleV7       = "google/uuid NewV7"
	nameGoogleV4       = "google/uuid NewRandom"
	namePooledGoogleV7 = "google/uuid NewV7, pooled"
	namePooledGoogleV4 = "google/uuid NewRandom, pooled"
	nameGofrsV7        = "gofrs/uuid NewV7"
	nameULID           = "oklog/ulid Make"
	nameXID            = "rs/xid New"
	nameBwmarrin       = "bwmarrin/snowflake Generate"
	nameSonyflake      = "sony/sonyflake NextID"
	nameFastSonyflake  = "sony/sonyflake NextID, 20 bits of sequence"
)

// contenders are all of them, in the order in which they run.
func contenders() []contender {
	return []contender{
		{name: nameSeamSnowflake, fits: aloneOrBatch, open: openSeamSnowflake},
		{name: nameWideSnowflake, fits: aloneOrBatch, open: openWideSnowflake},
		{name: nameDefaultSnowflake, fits: sustained, open: openDefaultSnowflake},
		{name: nameSequence, fits: aloneOrBatch, open: openSequence},
		{name: nameUUIDv7, fits: aloneOrBatch, open: openUUIDv7},
		{name: nameUUIDv4, fits: aloneOrBatch, open: openUUIDv4},
		{name: nameGoogleV7, fits: alone, open: openGoogleV7},
		{name: nameGoogleV4, fits: alone, open: openGoogleV4},
		{name: namePooledGoogleV7, fits: alone, open: pooled(openGoogleV7)},
		{name: namePooledGoogleV4, fits: alone, open: pooled(openGoogleV4)},
		{name: nameGofrsV7, fits: alone, open: openGofrsV7},
		{name: nameULID, fits: alone, open: openULID},
		{name: nameXID, fits: alone, open: openXID},
		{name: nameBwmarrin, fits: notBatch, open: openBwmarrin},
		{name: nameSonyflake, fits: alone, open: openSonyflake},
		{name: nameFastSonyflake, fits: alone, open: openFastSonyflake},
		{name: nameINCR, fits: alone, open: openINCR},
	}
}

// peerModules are whose versions are told.
func peerModules() []string {
	return []string{
		"github.com/bwmarrin/snowflake",
		"github.com/gofrs/uuid/v5",
		"github.com/google/uuid",
		"github.com/oklog/ulid/v2",
		"github.com/redis/go-redis/v9",
		"github.com/rs/xid",
		"github.com/sony/sonyflake/v2",
	}
}

// inBatches is a maker's batch. A call by an interface costs nothing there, as it
// is for 1,000 IDs; the makers' other loops must each call their own.
func inBatches[T any](ctx context.Context, g idgen.Generator[T]) func(n int) error {
	dst := make([]T, batch)
	return func(n int) error {
		for range n / batch {
			if _, err := g.NextN(ctx, dst); err != nil {
				return err
			}
		}
		return nil
	}
}
