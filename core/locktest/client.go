package locktest

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// newClient returns a client with a copy of opts that is closed when the test
// is over.
func newClient(tb testing.TB, opts *redis.Options, set func(*redis.Options)) *redis.Client {
	var o redis.Options
	if opts != nil {
		o = *opts
	}
	set(&o)
	if o.MaintNotificationsConfig == nil {
		// A managed service's announcements: no test server makes any, and
		// asking for them is one more failed command for each connection.
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	}
	rdb := redis.NewClient(&o)
	tb.Cleanup(func() { _ = rdb.Close() }) // ErrClosed if the test closed it
	return rdb
}
