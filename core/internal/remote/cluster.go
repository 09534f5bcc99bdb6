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

// clusterSender carries out the tasks of each bucket in a call, and all calls in
// one pipeline to the node: the keys of a call must be in one slot.
func clusterSender(s script, names *Keyspace) sender {
	return func(ctx context.Context, rdb redis.UniversalClient, tasks []task) error {
		groups := byBucket(tasks)
		if len(groups) < 2 {
			g := group{tasks: tasks}
			var b byte
			if len(tasks) > 0 {
				b = tasks[0].op.names.bucket
			}
			err := s.run(ctx, rdb, names.channels(Ear(b)), g)
			migrating(tasks)
			return err
		}
		calls := make([]once, len(groups))
		for i, g := range groups {
			calls[i] = s.call(ctx, names.channels(Ear(g.at(0).op.names.bucket)), g)
		}
		exec(ctx, rdb, calls)
		if err := s.introduce(ctx, rdb, calls); err != nil {
			return err
		}
		var failure error
		answered := false
		for i, g := range groups {
			if err := g.take(calls[i], calls[i].Err()); err == nil || refused(err) {
				answered = true
			} else {
				failure = err
			}
		}
		migrating(tasks)
		if answered {
			return nil
		}
		return failure
	}
}

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

// exec sends calls in one pipeline. Each has its own error.
func exec(ctx context.Context, rdb redis.UniversalClient, calls []once) {
	pipe := rdb.Pipeline()
	for _, c := range calls {
		_ = pipe.Process(ctx, c) // only puts it in
	}
	_, _ = pipe.Exec(ctx)
}

// introduce makes those calls again that the node did not know the script of.
func (s script) introduce(ctx context.Context, rdb redis.UniversalClient, calls []once) error {
	var missed []int
	for i, c := range calls {
		if unknownScript(c.Err()) {
			missed = append(missed, i)
		}
	}
	if missed == nil {
		return nil
	}
	first := missed[0]
	calls[first] = s.whole(ctx, calls[first])
	_ = rdb.Process(ctx, calls[first]) // an error is in the call
	again := make([]once, 0, len(missed))
	for _, i := range missed[1:] {
		calls[i] = once{redis.NewCmd(ctx, calls[i].Args()...)}
		again = append(again, calls[i])
	}
	if len(again) > 0 {
		exec(ctx, rdb, again)
	}
	return nil
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
