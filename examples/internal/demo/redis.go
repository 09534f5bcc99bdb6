package demo

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// reachTimeout is how long a Redis has for its first answer.
const reachTimeout = 2 * time.Second

// StartRedis returns a client of the Redis at addr, or of an embedded one if
// addr is empty, and what closes both. The embedded one forgets all when closed.
// A Redis that does not answer in two seconds is an error of one line.
func StartRedis(ctx context.Context, addr string) (*redis.Client, func(), error) {
	if addr == "" {
		mini := miniredis.NewMiniRedis()
		mini.ClockTTL(true) // leases expire by the clock, as they do in Redis
		if err := mini.StartAddr("127.0.0.1:0"); err != nil {
			return nil, nil, fmt.Errorf("embedded Redis: %w", err)
		}
		rdb := redis.NewClient(&redis.Options{Addr: mini.Addr()})
		return rdb, func() { _ = rdb.Close(); mini.Close() }, nil
	}

	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	// A dial of our own first: go-redis repeats its own, and logs each.
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, fmt.Errorf("no Redis: %w", err)
	}
	_ = conn.Close()
	// A client of its own, which heeds the deadline while a Redis hangs.
	probe := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true, MaxRetries: -1})
	defer func() { _ = probe.Close() }()
	if err := probe.Ping(ctx).Err(); err != nil {
		return nil, nil, fmt.Errorf("no Redis at %s: %w", addr, err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	return rdb, func() { _ = rdb.Close() }, nil
}
