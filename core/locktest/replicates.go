package locktest

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// replicates returns nil if r is a replica that has its master's data and
// hears of what is new.
func replicates(ctx context.Context, rdb *redis.Client, r *Redis) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	info, err := rdb.InfoMap(ctx, "replication").Result()
	if err != nil {
		return fmt.Errorf("%s: %w", r.Addr(), err)
	}
	if status := info["Replication"]["master_link_status"]; status != "up" {
		return fmt.Errorf("%s: the link to its master is %q", r.Addr(), status)
	}
	return nil
}
