package remote

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// courier makes one attempt to have a server carry tasks out: it sets the reply
// or the error of each. What its methods return is nil if the server has answered
// something, and be it with an error.
type courier struct {
	script script
	names  *Keyspace
	ack    Ack
}

// single carries out all tasks in one call.
func (c *courier) single(ctx context.Context, rdb redis.UniversalClient, tasks []task) error {
	return c.one(ctx, rdb, c.names.channels(0), tasks)
}

// one carries tasks out in one call: their keys are in one slot.
func (c *courier) one(ctx context.Context, rdb redis.UniversalClient, channels string, tasks []task) error {
	g := group{tasks: tasks}
	call := c.script.call(ctx, channels, g)
	err := c.process(ctx, rdb, tasks, call)
	if unknownScript(err) {
		call = c.script.whole(ctx, call)
		err = c.process(ctx, rdb, tasks, call)
	}
	return g.take(call, err)
}

func (c *courier) process(ctx context.Context, rdb redis.UniversalClient, tasks []task, call once) error {
	if c.ack.Replicas == 0 {
		return rdb.Process(ctx, call)
	}
	c.ack.exec(ctx, rdb, tasks, call)
	return call.Err()
}

// pipelined carries out the tasks of each bucket in a call, and all calls in one
// pipeline: on a cluster the keys of a call must be in one slot.
func (c *courier) pipelined(ctx context.Context, rdb redis.UniversalClient, tasks []task) error {
	groups := byBucket(tasks)
	if len(groups) < 2 {
		var e Ear
		if len(tasks) > 0 {
			e = Ear(tasks[0].op.names.bucket)
		}
		err := c.one(ctx, rdb, c.names.channels(e), tasks)
		migrating(tasks)
		return err
	}
	calls := make([]once, len(groups))
	for i, g := range groups {
		calls[i] = c.script.call(ctx, c.names.channels(Ear(g.at(0).op.names.bucket)), g)
	}
	c.ack.exec(ctx, rdb, tasks, calls...)
	c.introduce(ctx, rdb, tasks, calls)
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

// introduce makes those calls again that the server did not know the script of.
func (c *courier) introduce(ctx context.Context, rdb redis.UniversalClient, tasks []task, calls []once) {
	var missed []int
	for i, call := range calls {
		if unknownScript(call.Err()) {
			missed = append(missed, i)
		}
	}
	if missed == nil {
		return
	}
	again := make([]once, len(missed))
	for n, i := range missed {
		if n == 0 {
			calls[i] = c.script.whole(ctx, calls[i]) // and after it the server knows
		} else {
			calls[i] = once{redis.NewCmd(ctx, calls[i].Args()...)}
		}
		again[n] = calls[i]
	}
	c.ack.exec(ctx, rdb, tasks, again...)
}
