package locktest

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// replication returns what the server that rdb talks to says of its role.
func replication(ctx context.Context, rdb *redis.Client) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	info, err := rdb.InfoMap(ctx, "replication").Result()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rdb.Options().Addr, err)
	}
	return info["Replication"], nil
}

// replicates returns nil if the server that rdb talks to is a replica of
// master that has its data and hears of what is new.
func replicates(ctx context.Context, rdb *redis.Client, master *Redis) error {
	info, err := replication(ctx, rdb)
	if err != nil {
		return err
	}
	role, port, status := info["role"], info["master_port"], info["master_link_status"]
	if role != "slave" || port != strconv.Itoa(master.port) || status != "up" {
		return fmt.Errorf("%s: role %s of port %q with link %q; want a replica of %s",
			rdb.Options().Addr, role, port, status, master.Addr())
	}
	return nil
}
