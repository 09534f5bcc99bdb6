package main

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/idgen"
)

const (
	// wideBits of worker number leave 21 bits of sequence: 2,097 IDs a
	// microsecond, which nothing outruns. The instructions of a call are the same
	// as with the default, whose 4.096 IDs a microsecond the hot path outruns by
	// far. It is the sustained rate that shows the limit.
	wideBits = 1
	// seamStep is what the clock's seam advances by when it is read: about as
	// much as passes between two readings. It must not be far ahead of the time,
	// for what is leased ends a window after the time of Redis.
	seamStep = 25 * time.Nanosecond
)

// openSeamSnowflake opens one whose clock costs next to nothing to read.
func openSeamSnowflake(ctx context.Context, s surroundings) (maker, error) {
	var readings atomic.Int64
	start := time.Now()
	return openSnowflake(ctx, s, unlimited(idgen.Clock(func() time.Time {
		return start.Add(time.Duration(readings.Add(1)) * seamStep)
	}))...)
}

// openWideSnowflake opens one that reads the system's monotonic clock.
func openWideSnowflake(ctx context.Context, s surroundings) (maker, error) {
	return openSnowflake(ctx, s, unlimited()...)
}

// unlimited are options with which neither the layout nor the lease is ever the
// limit: nobody waits for a skew or for a long window.
func unlimited(more ...idgen.SnowflakeOption) []idgen.SnowflakeOption {
	return append(more, idgen.WorkerBits(wideBits), idgen.Window(idgen.MinWindow), idgen.Skew(0))
}

// openDefaultSnowflake opens one as it comes.
func openDefaultSnowflake(ctx context.Context, s surroundings) (maker, error) {
	return openSnowflake(ctx, s)
}

func openSnowflake(ctx context.Context, s surroundings, opts ...idgen.SnowflakeOption) (maker, error) {
	epoch := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	g, err := idgen.NewSnowflake(s.rdb, s.name, append(opts, idgen.Epoch(epoch))...)
	if err != nil {
		return maker{}, err
	}
	dst := make([]idgen.ID, batch)
	m := maker{
		one: func(n int) error {
			var id idgen.ID
			for range n {
				var err error
				if id, err = g.Next(ctx); err != nil {
					return err
				}
			}
			runtime.KeepAlive(id)
			return nil
		},
		batch: func(n int) error {
			for range n / batch {
				if _, err := g.NextN(ctx, dst); err != nil {
					return err
				}
			}
			return nil
		},
		close: g.Close,
	}
	return m, g.Check(ctx)
}
