package main

import (
	"context"
	"runtime"

	"github.com/oklog/ulid/v2"
	"github.com/rs/xid"
)

func openULID(context.Context, surroundings) (maker, error) {
	return maker{one: func(n int) error {
		var id ulid.ULID
		for range n {
			id = ulid.Make()
		}
		runtime.KeepAlive(id)
		return nil
	}}, nil
}

func openXID(context.Context, surroundings) (maker, error) {
	return maker{one: func(n int) error {
		var id xid.ID
		for range n {
			id = xid.New()
		}
		runtime.KeepAlive(id)
		return nil
	}}, nil
}
