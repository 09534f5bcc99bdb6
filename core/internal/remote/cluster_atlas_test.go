package remote_test

import (
	"context"
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
	slots, err := a.rdb.ClusterSlots(ctx).Result()
	a.last = slots
	return slots, err
}

func (a *atlas) freeze(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.frozen = on
}
