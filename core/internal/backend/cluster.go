package backend

import (
	"context"
	"errors"

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

// IsCluster reports whether rdb is a client of a cluster by that rule: operations
// then go to the server that has their keys.
func IsCluster(rdb redis.UniversalClient) bool {
	_, is := rdb.(clusterClient)
	return is
}

// What an operation fails with that has found some of its keys gone, or going, to
// another node, or that the node does not carry out with those of other slots. How
// far it went is not known.
var (
	errMoves  = errors.New("redis: the keys are not on this node, or not all of them")
	errDown   = errors.New("redis: the node says that the cluster is down")
	errStrict = errors.New("redis: the node does not carry out a script for several slots")
)

// byBucket groups operations without changing their order in a bucket.
func byBucket(b batch) []group {
	tasks := b.calls
	var groups []group
	order := make([]uint8, 0, len(tasks)) // of operations, by group
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
		groups = append(groups, group{b, order[from:len(order):len(order)]})
	}
	return groups
}
