package main

import (
	"context"
	"runtime"

	gofrs "github.com/gofrs/uuid/v5"
	"github.com/google/uuid"

	"github.com/latchkey-go/latchkey/idgen"
)

func openUUIDv7(ctx context.Context, _ surroundings) (maker, error) {
	g := new(idgen.UUIDv7)
	return maker{
		one: func(n int) error {
			var id uuid.UUID
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
	}, nil
}

func openUUIDv4(ctx context.Context, _ surroundings) (maker, error) {
	g := new(idgen.UUIDv4)
	return maker{
		one: func(n int) error {
			var id uuid.UUID
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
	}, nil
}

func openGoogleV7(context.Context, surroundings) (maker, error) {
	return maker{one: func(n int) error {
		var id uuid.UUID
		for range n {
			var err error
			if id, err = uuid.NewV7(); err != nil {
				return err
			}
		}
		runtime.KeepAlive(id)
		return nil
	}}, nil
}

func openGoogleV4(context.Context, surroundings) (maker, error) {
	return maker{one: func(n int) error {
		var id uuid.UUID
		for range n {
			var err error
			if id, err = uuid.NewRandom(); err != nil {
				return err
			}
		}
		runtime.KeepAlive(id)
		return nil
	}}, nil
}

// pooled has google/uuid read random bytes in stock, as idgen does. It is a
// switch for the whole process, off by default.
func pooled(open func(context.Context, surroundings) (maker, error)) func(context.Context, surroundings) (maker, error) {
	return func(ctx context.Context, s surroundings) (maker, error) {
		m, err := open(ctx, s)
		uuid.EnableRandPool()
		m.close = func() error {
			uuid.DisableRandPool()
			return nil
		}
		return m, err
	}
}

func openGofrsV7(context.Context, surroundings) (maker, error) {
	return maker{one: func(n int) error {
		var id gofrs.UUID
		for range n {
			var err error
			if id, err = gofrs.NewV7(); err != nil {
				return err
			}
		}
		runtime.KeepAlive(id)
		return nil
	}}, nil
}
