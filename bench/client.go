package main

import (
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// newClient is the go-redis client of every contender that uses go-redis.
//
// The pool has a connection for each caller, up to 128: with go-redis's default
// (ten for each processor) callers queue for a connection, and with one for each
// of 512 callers the peers were five times slower than with 128.
func newClient(c circumstances) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr:     c.addrs[0],
		PoolSize: poolSize(c),
		// So that a lone operation of Latchkey needs no other goroutine; it costs
		// the others nothing.
		ContextTimeoutEnabled:    true,
		PoolTimeout:              poolTimeout,
		MaintNotificationsConfig: noMaintenance(),
	})
}

// newClusterClient is newClient for a cluster. Each node has a pool of that size,
// since at times all callers may want the same one.
func newClusterClient(c circumstances) *redis.ClusterClient {
	return redis.NewClusterClient(&redis.ClusterOptions{
		Addrs:                    c.addrs,
		PoolSize:                 poolSize(c),
		ContextTimeoutEnabled:    true,
		PoolTimeout:              poolTimeout,
		MaintNotificationsConfig: noMaintenance(),
	})
}

// redisClient is a client of either kind.
type redisClient interface {
	redis.UniversalClient
	AutoPipeline() (*redis.AutoPipeliner, error)
}

// newClientFor is the one or the other.
func newClientFor(c circumstances) redisClient {
	if c.cluster {
		return newClusterClient(c)
	}
	return newClient(c)
}

func poolSize(c circumstances) int { return min(max(c.callers, 10), 128) }

const poolTimeout = 30 * time.Second

// noMaintenance has the client not ask for a managed service's announcements,
// which these servers do not make.
func noMaintenance() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}
