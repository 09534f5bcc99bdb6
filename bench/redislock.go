package main

import (
	"context"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"
)

type redislockLocker struct {
	rdb     redis.UniversalClient
	locks   *redislock.Client
	options redislock.Options
}

// openRedislock has github.com/bsm/redislock at its best: a short constant
// backoff without a limit, so that a waiter asks as soon as the recipe's does
// (the exponential one starts at 4 ms and only gets later), one Client for all
// callers, and a deadline of the context's own, which spares the Client making
// one for each call.
func openRedislock(c circumstances) (locker, error) {
	rdb := newClientFor(c)
	return newRedislockLocker(rdb, rdb, c), nil
}

// openPipelinedRedislock has redislock send its scripts through go-redis's
// AutoPipeliner, which gathers the commands of all callers into pipelines. The
// price: a call does not return while Redis hangs, whatever its context says.
// redislock's documentation does not mention it.
func openPipelinedRedislock(c circumstances) (locker, error) {
	rdb := newClientFor(c)
	pipeliner, err := rdb.AutoPipeline()
	if err != nil {
		_ = rdb.Close()
		return nil, err
	}
	return newRedislockLocker(rdb, pipeliner, c), nil
}

func newRedislockLocker(rdb redis.UniversalClient, via redislock.RedisClient, c circumstances) *redislockLocker {
	return &redislockLocker{
		rdb:     rdb,
		locks:   redislock.New(via),
		options: redislock.Options{RetryStrategy: redislock.LinearBackoff(c.poll)},
	}
}

func (l *redislockLocker) lock(ctx context.Context, key string) (func() error, error) {
	lock, err := l.locks.Obtain(ctx, key, ttl, &l.options)
	if err != nil {
		return nil, err
	}
	return func() error { return lock.Release(context.Background()) }, nil
}

func (l *redislockLocker) close() { _ = l.rdb.Close() }
