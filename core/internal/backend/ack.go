package backend

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Ack is how many replicas must have acknowledged what grants or prolongs a
// lease, and within what time. The zero Ack is none.
type Ack struct {
	Replicas int
	Within   time.Duration
}

// most is for how long one attempt may wait for replicas: twice, if the server does not
// know the script.
func (a Ack) most() time.Duration { return 2 * a.Within }

// AckError says that too few replicas have acknowledged an operation, which the
// primary has carried out: a failover may forget it.
type AckError struct {
	Ack
	Got   int
	Cause error // why it was not learned how many have; else nil
}

func (e *AckError) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("redis: it is not known whether %d replicas have acknowledged: %v", e.Replicas, e.Cause)
	}
	return fmt.Sprintf("redis: %d of %d replicas have acknowledged within %v", e.Got, e.Replicas, e.Within)
}

func (e *AckError) Unwrap() error { return e.Cause }

// binds tells whether o may grant or prolong a lease for who sends it. What is
// granted to another is acknowledged to that one.
func (o *Op) binds() bool {
	return o.kind == acquire || o.kind == renew || (o.kind == release || o.kind == releaseFrom) && o.args[2] != ""
}

// execPipeline sends calls, which carry out the operations of groups, in one pipeline, each with
// an error of its own, and after them what waits for the replicas, if one of the
// operations calls for that: over the same connection, by whose writes WAIT goes
// (https://redis.io/docs/latest/commands/wait/).
func (c *executor) execPipeline(ctx context.Context, rdb redis.UniversalClient, groups []group, calls ...once) {
	a, pipe := c.ack, rdb.Pipeline()
	for _, call := range calls {
		_ = pipe.Process(ctx, call) // only puts it in
	}
	binds := false
	for _, g := range groups {
		for i := range g.len() {
			binds = binds || g.op(i).binds()
		}
	}
	var wait *redis.IntCmd
	if a.Replicas > 0 && binds {
		wait = redis.NewIntCmd(ctx, "wait", a.Replicas, a.Within.Milliseconds())
		_ = pipe.Process(ctx, wait)
	}
	if err := c.execContained(ctx, pipe); err != nil {
		for _, call := range calls {
			call.SetErr(err)
		}
		return
	}
	if wait == nil {
		return
	}
	var unacked *AckError
	if n, err := wait.Result(); err != nil || n < int64(a.Replicas) {
		unacked = &AckError{Ack: a, Got: int(n), Cause: err}
	}
	for _, g := range groups {
		for i := range g.len() {
			g.result(i).unacked = unacked
		}
	}
}

// execContained returns an error for a panic alone: commands have errors of their own.
func (c *executor) execContained(ctx context.Context, pipe redis.Pipeliner) (err error) {
	defer c.log.Contain(clientHook, &err)
	_, _ = pipe.Exec(ctx)
	return nil
}
