package backend_test

import (
	"context"
	"net"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/locktest"
)

// atlas is where a client learns who has which slots: from the cluster, until it
// is frozen.
type atlas struct {
	rdb *redis.ClusterClient

	mu     sync.Mutex
	frozen bool
	last   []redis.ClusterSlot
}

func newAtlas(c *locktest.Cluster) *atlas { return &atlas{rdb: c.Client(nil)} }

func (a *atlas) slots(ctx context.Context) ([]redis.ClusterSlot, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.frozen {
		return a.last, nil
	}
	shards, err := a.rdb.ClusterShards(ctx).Result()
	if err != nil {
		return nil, err
	}
	a.last = nil
	for _, shard := range shards {
		var nodes []redis.ClusterNode
		for _, n := range shard.Nodes {
			node := redis.ClusterNode{ID: n.ID, Addr: net.JoinHostPort(n.IP, strconv.FormatInt(n.Port, 10))}
			if n.Role == "master" {
				nodes = append([]redis.ClusterNode{node}, nodes...)
			} else {
				nodes = append(nodes, node)
			}
		}
		for _, r := range shard.Slots {
			a.last = append(a.last, redis.ClusterSlot{Start: int(r.Start), End: int(r.End), Nodes: nodes})
		}
	}
	return a.last, nil
}

func (a *atlas) freeze(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.frozen = on
}
