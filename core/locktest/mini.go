package locktest

import (
	"context"
	"net"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Mini is a miniredis whose expiries follow the clock. It is reached through
// pipes in memory, never a socket, so that it works inside a testing/synctest
// bubble, where its clock is the bubble's.
//
// It imitates Redis: what depends on Redis's own behaviour belongs on
// [StartRedis].
type Mini struct {
	*miniredis.Miniredis
	tb testing.TB
}

// StartMini starts a miniredis that is closed when the test is over. Inside a
// bubble, give it the bubble's own *testing.T: its cleanups run before the
// bubble ends, as they must.
func StartMini(tb testing.TB) *Mini {
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	tb.Cleanup(m.Close)
	return &Mini{Miniredis: m, tb: tb}
}

// Client returns a client that is closed when the test is over. opts may be
// nil; its Addr and Dialer are replaced.
func (m *Mini) Client(opts *redis.Options) *redis.Client {
	return newClient(m.tb, opts, func(o *redis.Options) {
		// Never dialled. It must be an IP address all the same: a host name
		// is resolved, which is a system call that no bubble survives.
		o.Addr = "127.0.0.1:6379"
		o.Dialer = func(context.Context, string, string) (net.Conn, error) { return m.Dial() }
	})
}
