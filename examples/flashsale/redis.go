package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// redisServer is the Redis that the replicas share: an embedded one, which
// needs nothing installed, or a real one that runs already.
type redisServer struct {
	addr     string
	embedded *miniredis.Miniredis
}

// reachTimeout is how long the connection to a real Redis may take. Its answer
// has the client's timeouts.
const reachTimeout = 2 * time.Second

// startRedis starts an embedded Redis, or, given an address, reaches the real
// one there. Its error matches errCannotStart.
func startRedis(ctx context.Context, addr string) (*redisServer, error) {
	if addr != "" {
		return reachRedis(ctx, addr)
	}
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true) // leases expire by the clock, as they do in Redis
	if err := m.StartAddr(anyPort); err != nil {
		return nil, cannotStart(fmt.Errorf("embedded Redis: %w", err))
	}
	return &redisServer{addr: m.Addr(), embedded: m}, nil
}

func reachRedis(ctx context.Context, addr string) (*redisServer, error) {
	// A dial of our own first: its error names the reason, in one line.
	conn, err := (&net.Dialer{Timeout: reachTimeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, cannotStart(fmt.Errorf("cannot reach Redis: %w", err))
	}
	_ = conn.Close() // it carried nothing
	s := &redisServer{addr: addr}
	rdb := s.client()
	defer rdb.Close()
	if err := rdb.Ping(ctx).Err(); err != nil {
		return nil, cannotStart(fmt.Errorf("no answer from Redis at %s: %w", addr, err))
	}
	return s, nil
}

// client returns a new client, the caller's to close. Each replica has one.
// Patience with a server that is beside it would only delay the end of a sale
// whose Redis hangs: by default go-redis tries for up to a minute and more.
func (s *redisServer) client() *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr:        s.addr,
		DialTimeout: time.Second, DialerRetries: 1,
		ReadTimeout: time.Second, WriteTimeout: time.Second, MaxRetries: 1,
	})
}

// kind says which it is, for people.
func (s *redisServer) kind() string {
	if s.embedded != nil {
		return "embedded Redis (miniredis)"
	}
	return "Redis at " + s.addr
}

// commands returns how many commands the server has run until now. Both kinds
// count the ones that scripts run; a real one also counts other clients'.
func (s *redisServer) commands(ctx context.Context) (int64, error) {
	if s.embedded != nil {
		return int64(s.embedded.CommandCount()), nil
	}
	rdb := s.client()
	defer rdb.Close()
	stats, err := rdb.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, fmt.Errorf("command statistics: %w", err)
	}
	return sumCalls(stats)
}

// sumCalls adds up the calls of an INFO commandstats reply, whose lines look
// like cmdstat_get:calls=21,usec=175,usec_per_call=8.33.
func sumCalls(stats string) (int64, error) {
	var sum int64
	for line := range strings.Lines(stats) {
		_, fields, ok := strings.Cut(strings.TrimSpace(line), ":calls=")
		if !ok {
			continue
		}
		calls, _, _ := strings.Cut(fields, ",")
		n, err := strconv.ParseInt(calls, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("command statistics: %w", err)
		}
		sum += n
	}
	return sum, nil
}

func (s *redisServer) close() {
	if s.embedded != nil {
		s.embedded.Close()
	}
}
