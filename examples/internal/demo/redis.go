package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// reachTimeout is how long a Redis has for its first answer.
const reachTimeout = 2 * time.Second

// StartRedis returns a client of the Redis at addr, host:port or a redis:// URL, or
// of an embedded one if addr is empty, and what closes both. The embedded one forgets all when closed.
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

	options, err := optionsOf(addr)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	// A dial of our own first: go-redis repeats its own, and logs each.
	conn, err := (&net.Dialer{}).DialContext(ctx, options.Network, options.Addr)
	if err != nil {
		return nil, nil, fmt.Errorf("no Redis: %w", err)
	}
	_ = conn.Close()
	// A client of its own, which heeds the deadline while a Redis hangs.
	asking := *options
	asking.ContextTimeoutEnabled, asking.MaxRetries = true, -1
	probe := redis.NewClient(&asking)
	defer func() { _ = probe.Close() }()
	if err := probe.Ping(ctx).Err(); err != nil {
		return nil, nil, fmt.Errorf("no Redis at %s: %w", options.Addr, err)
	}
	rdb := redis.NewClient(options)
	return rdb, func() { _ = rdb.Close() }, nil
}

// optionsOf reads an address or a URL. Its error does not repeat a URL, which may
// have a password.
func optionsOf(addr string) (*redis.Options, error) {
	if !strings.Contains(addr, "://") {
		return &redis.Options{Network: "tcp", Addr: addr}, nil
	}
	options, err := redis.ParseURL(addr)
	if err != nil {
		return nil, errors.New("no Redis: its URL is not a valid redis://, rediss:// or unix:// URL")
	}
	return options, nil
}
