package main

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/locktest"
)

func TestCallsOfAllCommandsAreSummed(t *testing.T) {
	for name, c := range map[string]struct {
		stats string
		want  int64
		fails bool
	}{
		"nothing yet": {stats: "# Commandstats\r\n"},
		"two commands": {
			stats: "# Commandstats\r\ncmdstat_get:calls=21,usec=175,usec_per_call=8.33,rejected_calls=0,failed_calls=0\r\n" +
				"cmdstat_client|setinfo:calls=2,usec=3,usec_per_call=1.50,rejected_calls=0,failed_calls=0\r\n",
			want: 23,
		},
		"no number": {stats: "cmdstat_get:calls=x,usec=1\r\n", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := sumCalls(c.stats)
			if got != c.want || (err != nil) != c.fails {
				t.Errorf("got %d, %v; want %d", got, err, c.want)
			}
		})
	}
}

// Both kinds of server must count a script and what it calls, or the table
// would compare different things.
func TestCommandsInsideScriptsAreCounted(t *testing.T) {
	for name, addr := range map[string]func(t *testing.T) string{
		"embedded": func(*testing.T) string { return "" },
		"real":     func(t *testing.T) string { return locktest.StartRedis(t).Addr() },
	} {
		t.Run(name, func(t *testing.T) {
			server, err := startRedis(t.Context(), addr(t))
			if err != nil {
				t.Fatal(err)
			}
			defer server.close()
			rdb := server.client()
			defer rdb.Close()
			count := func(script string) int64 {
				t.Helper()
				before := commands(t, server)
				for range 100 {
					if err := rdb.Eval(t.Context(), script, nil).Err(); err != nil && err != redis.Nil {
						t.Fatal(err)
					}
				}
				return commands(t, server) - before
			}
			alone := count(`return 1`)
			if with := count(`redis.call('GET', 'k') redis.call('GET', 'k') return 1`); with < alone+180 || with > alone+220 {
				t.Errorf("100 scripts: %d commands, with two calls each: %d", alone, with)
			}
		})
	}
}

func commands(t *testing.T, s *redisServer) int64 {
	t.Helper()
	n, err := s.commands(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestARedisThatCannotServeIsToldAtOnce(t *testing.T) {
	for name, addr := range map[string]func(t *testing.T) string{
		"nobody listens": closedPort,
		"it is silent":   silentServer,
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := startRedis(context.Background(), addr(t))
			if !isStartError(err) {
				t.Errorf("error = %v, want a startError", err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// closedPort returns an address on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l := listen(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// silentServer takes connections, and no more.
func silentServer(t *testing.T) string {
	t.Helper()
	l := listen(t)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String() // the kernel completes the handshake
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
