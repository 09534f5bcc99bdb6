package main

import (
	"context"
	"runtime"

	"github.com/latchkey-go/latchkey/idgen"
)

// openSequence opens one as it comes, with a number at hand.
func openSequence(ctx context.Context, s surroundings) (maker, error) {
	g, err := idgen.NewSequence(s.rdb, s.name)
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
	}
	_, err = g.Next(ctx)
	return m, err
}

// openINCR asks Redis for each number: what a Sequence saves.
func openINCR(ctx context.Context, s surroundings) (maker, error) {
	return maker{one: func(n int) error {
		var id int64
		for range n {
			var err error
			if id, err = s.rdb.Incr(ctx, s.name).Result(); err != nil {
				return err
			}
		}
		runtime.KeepAlive(id)
		return nil
	}}, nil
}
