package main

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
)

type latchkeyLocker struct {
	rdb    redis.UniversalClient
	locker *core.RedisLocker
}

// openLatchkey has Latchkey with its defaults but for opts.
func openLatchkey(opts ...core.Option) func(circumstances) (locker, error) {
	return func(c circumstances) (locker, error) {
		rdb := newClientFor(c)
		l, err := core.New(rdb, opts...)
		if err != nil {
			_ = rdb.Close()
			return nil, err
		}
		return &latchkeyLocker{rdb, l}, nil
	}
}

func (l *latchkeyLocker) lock(ctx context.Context, key string) (func() error, error) {
	lock, err := l.locker.Acquire(ctx, key)
	if err != nil {
		return nil, err
	}
	return func() error { return lock.Release(context.Background()) }, nil
}

func (l *latchkeyLocker) close() {
	_ = l.locker.Close() // nothing is held any more
	_ = l.rdb.Close()
}
