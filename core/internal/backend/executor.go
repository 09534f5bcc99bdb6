package backend

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/panics"
)

// clientHook is what panics in the client are put down to: the rest of it is
// go-redis's own.
const clientHook = "a hook of the Redis client"

// executor makes one attempt to have a server carry operations out: it sets the
// result of each. What its methods return is nil if the server has answered
// something, and be it with an error.
type executor struct {
	script script
	head   string // of calls whose keys are declared
	ack    Ack
	log    *panics.Log
	// strict is set once a server has refused a call for several slots.
	strict *atomic.Bool
}

// newExecutor returns an executor to a single server, or to a cluster's nodes.
func newExecutor(r *Backend) *executor {
	c := &executor{ack: r.ack, log: &r.panics, strict: new(atomic.Bool)}
	if r.names.cluster {
		c.script, c.head = newScript(clusterWords+clusterNames), "0"
	} else {
		c.script, c.head = newScript(singleWords+declared), r.names.bases[0].channels
	}
	return c
}

// execBatch carries out all operations in one call. Their keys are in one slot.
func (c *executor) execBatch(ctx context.Context, rdb redis.UniversalClient, b batch) error {
	return c.execCall(ctx, rdb, b, c.script.call(ctx, c.head, group{batch: b}))
}

// execCall makes one call for all operations.
func (c *executor) execCall(ctx context.Context, rdb redis.UniversalClient, b batch, call once) error {
	err := c.process(ctx, rdb, b, call)
	if unknownScript(err) {
		call = c.script.whole(ctx, call)
		err = c.process(ctx, rdb, b, call)
	}
	return group{batch: b}.take(call, err)
}

func (c *executor) process(ctx context.Context, rdb redis.UniversalClient, b batch, call once) (err error) {
	if c.ack.Replicas == 0 {
		defer c.log.Contain(clientHook, &err)
		return rdb.Process(ctx, call)
	}
	c.execPipeline(ctx, rdb, []group{{batch: b}}, call)
	return call.Err()
}

// execOnNode carries operations out on a node that has all their buckets. The keys that a
// call declares must be in one slot, and hardly two of what is pending are. But a
// script without a shebang may use keys of any slot that its node serves, and
// that is kept so (https://github.com/redis/redis/pull/10615): a call that
// declares none is for all. (A cluster of three, 64 callers with keys of their own:
// a pipeline of calls reached 0.76 of what rueidislock did.) A server that does not allow it has to be
// asked once.
func (c *executor) execOnNode(ctx context.Context, rdb redis.UniversalClient, b batch) error {
	var err error
	groups := byBucket(b)
	switch {
	case len(groups) < 2:
		err = c.execBatch(ctx, rdb, b)
	case c.strict.Load():
		err = c.pipeline(ctx, rdb, groups)
	default:
		err = c.execCall(ctx, rdb, b, c.script.scattered(ctx, b.calls))
	}
	c.clusterErrors(b)
	return err
}

// pipeline carries out the operations of each bucket in a call, and all calls in one
// pipeline.
func (c *executor) pipeline(ctx context.Context, rdb redis.UniversalClient, groups []group) error {
	calls := make([]once, len(groups))
	for i, g := range groups {
		calls[i] = c.script.call(ctx, c.head, g)
	}
	c.execPipeline(ctx, rdb, groups, calls...)
	c.loadScript(ctx, rdb, groups, calls)
	var failure error
	answered := false
	for i, g := range groups {
		if err := g.take(calls[i], calls[i].Err()); err == nil || isServerReply(err) {
			answered = true
		} else {
			failure = err
		}
	}
	if answered {
		return nil
	}
	return failure
}

// loadScript makes those calls again that the server did not know the script of.
func (c *executor) loadScript(ctx context.Context, rdb redis.UniversalClient, groups []group, calls []once) {
	var missed []int
	for i, call := range calls {
		if unknownScript(call.Err()) {
			missed = append(missed, i)
		}
	}
	if missed == nil {
		return
	}
	again, theirs := make([]once, len(missed)), make([]group, len(missed))
	for n, i := range missed {
		if n == 0 {
			calls[i] = c.script.whole(ctx, calls[i]) // and after it the server knows
		} else {
			calls[i] = once{redis.NewCmd(ctx, calls[i].Args()...)}
		}
		again[n], theirs[n] = calls[i], groups[i]
	}
	c.execPipeline(ctx, rdb, theirs, again...)
}

// clusterErrors turns answers of the script that tell of slots into errors: the
// operation is to be repeated.
func (c *executor) clusterErrors(b batch) {
	for i := range b.results {
		k := &b.results[i]
		list, _ := k.reply.([]any)
		if len(list) != 2 || list[0] != int64(failed) {
			continue
		}
		switch text, _ := list[1].(string); {
		case strings.Contains(text, "non local key"):
			k.reply, k.err = nil, errMoves
		case strings.Contains(text, "cluster is down"):
			k.reply, k.err = nil, errDown
		case strings.Contains(text, "do not hash to the same slot"):
			c.strict.Store(true)
			k.reply, k.err = nil, errStrict
		}
	}
}
