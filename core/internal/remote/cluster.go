package remote

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// clusterClient is a client of a Redis Cluster. It is told by what it can do:
// one may be wrapped.
type clusterClient interface {
	redis.UniversalClient
	MasterForKey(ctx context.Context, key string) (*redis.Client, error)
	ReloadState(ctx context.Context)
	Options() *redis.ClusterOptions
}

// errMigrates is what an operation fails with that has found some of its keys
// gone to another node. How far it went is not known.
var errMigrates = errors.New("redis: the slot is being migrated")

// byBucket groups tasks without changing their order in a bucket.
func byBucket(tasks []task) []group {
	var groups []group
	order := make([]uint8, 0, len(tasks)) // of tasks, by group
	var done [maxOps]bool
	for i := range tasks {
		if done[i] {
			continue
		}
		from, bucket := len(order), tasks[i].op.names.bucket
		for j := i; j < len(tasks); j++ {
			if tasks[j].op.names.bucket == bucket {
				done[j] = true
				order = append(order, uint8(j))
			}
		}
		groups = append(groups, group{tasks, order[from:len(order):len(order)]})
	}
	return groups
}

// migrating turns answers that tell of a slot on its way into errors: the
// operation is to be repeated.
func migrating(tasks []task) {
	for i := range tasks {
		list, _ := tasks[i].reply.([]any)
		if len(list) != 2 || list[0] != int64(failed) {
			continue
		}
		if text, _ := list[1].(string); strings.Contains(text, "non local key") {
			tasks[i].reply, tasks[i].err = nil, errMigrates
		}
	}
}
