package backend

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// execOnServer carries operations out on a server that is none of a cluster.
func (c *executor) execOnServer(ctx context.Context, rdb redis.UniversalClient, b batch) error {
	err := c.execBatch(ctx, rdb, b)
	if err != nil {
		for i := range b.results {
			b.results[i].err = outOfSlot(b.results[i].err)
		}
	}
	return err
}

// SlotError is the answer of a server of a cluster to a client that is not made for
// one. It was found out by nobody before: Check was not called, or the client is
// wrapped in such a way that New could not see it.
type SlotError struct{ Answer error }

func (e *SlotError) Error() string {
	return "redis: the server is one of a cluster, and the client does not know where the cluster's keys are: use a *redis.ClusterClient (redis.NewClusterClient), or a wrapper that embeds one: " + e.Answer.Error()
}

func (e *SlotError) Unwrap() error { return e.Answer }

// outOfSlot returns err, as a *SlotError if it is about a cluster's slots.
func outOfSlot(err error) error {
	if err == nil || !isRedirect(err) && !redis.HasErrorPrefix(err, "CROSSSLOT") {
		return err
	}
	return &SlotError{err}
}
