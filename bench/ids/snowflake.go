package main

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/idgen"
)

// wideBits of worker number leave 21 bits of sequence: 2,097 IDs a microsecond,
// which nothing outruns. The instructions of a call are the same as with the
// default, whose 4.096 IDs a microsecond the hot path outruns by far. It is the
// sustained rate that shows the limit.
const wideBits = 1

// openSeamSnowflake opens one whose clock costs next to nothing to read: the time
// when its caller last began [chunk] IDs. A clock that each reading moved on would
// be one more word that all cores write, and cost more than what is measured.
func openSeamSnowflake(ctx context.Context, s surroundings) (maker, error) {
	var passed atomic.Int64
	start := time.Now()
	advance := func() { passed.Store(int64(time.Since(start))) }
	m, err := openSnowflake(ctx, s, unlimited(idgen.Clock(func() time.Time {
		return start.Add(time.Duration(passed.Load()))
	}))...)
	one, batch := m.one, m.batch
	m.one = func(n int) error {
		advance()
		return one(n)
	}
	m.batch = func(n int) error {
		advance()
		return batch(n)
	}
	return m, err
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
		batch: inBatches(ctx, g),
		close: g.Close,
		stock: int(idgen.DefaultWindow.Seconds() * limit),
	}
	return m, g.Check(ctx)
}
