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
		Addr:     c.addr,
		PoolSize: min(max(c.callers, 10), 128),
		// So that a lone operation of Latchkey needs no other goroutine; it costs
		// the others nothing.
		ContextTimeoutEnabled: true,
		PoolTimeout:           30 * time.Second,
		// A managed service's announcements, which this server does not make.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}
