package main

import (
	"context"
	"errors"
	"math"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

type redsyncLocker struct {
	rdb     redis.UniversalClient
	sync    *redsync.Redsync
	options []redsync.Option
}

var errNotUnlocked = errors.New("redsync: the lock was not ours any more")

// openRedsync has github.com/go-redsync/redsync/v4 at its best: one pool, which
// is a majority of one; tries without end (the default of 32 would give up
// while the others wait); and a short constant delay instead of 50 to 250 ms.
// A refused try also sends the release script, which no option turns off.
func openRedsync(c circumstances) (locker, error) {
	rdb := newClientFor(c)
	return &redsyncLocker{
		rdb:  rdb,
		sync: redsync.New(goredis.NewPool(rdb)),
		options: []redsync.Option{
			redsync.WithExpiry(ttl),
			redsync.WithTries(math.MaxInt),
			redsync.WithRetryDelay(c.poll),
		},
	}, nil
}

func (l *redsyncLocker) lock(ctx context.Context, key string) (func() error, error) {
	// A Mutex is for one caller at a time, so each acquisition has its own.
	m := l.sync.NewMutex(key, l.options...)
	if err := m.LockContext(ctx); err != nil {
		return nil, err
	}
	return func() error {
		ok, err := m.UnlockContext(context.Background())
		if err == nil && !ok {
			err = errNotUnlocked
		}
		return err
	}, nil
}

func (l *redsyncLocker) close() { _ = l.rdb.Close() }
