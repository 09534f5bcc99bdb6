package idgen

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// SnowflakeRedis is what a [Snowflake] needs of a client. Every
// [redis.UniversalClient] has it.
type SnowflakeRedis interface{ redis.Scripter }

var _ SnowflakeRedis = redis.UniversalClient(nil)

var (
	//go:embed script/lease.lua
	leaseSource string
	leaseScript = redis.NewScript(leaseSource)
	//go:embed script/return.lua
	returnSource string
	returnScript = redis.NewScript(returnSource)
)

// leaseReply is what lease.lua returns.
type leaseReply struct {
	status string
	now    time.Time // by the clock of Redis
	worker int64     // or how many are taken
	time   time.Time // the ceiling, the base, or the end of the first lease
	layout string    // theirs, if it is not ours
}

// What lease.lua has done.
const (
	leaseLayout   = "layout"
	leaseExtended = "extended"
	leaseTaken    = "taken"
	leaseNone     = "none"
)

// leaseCall is what lease.lua is told.
type leaseCall struct {
	owner  string
	worker int64 // to extend; negative for none
	// In milliseconds since 1970:
	base  int64 // what the worker was taken with
	floor int64
}

// askLease calls lease.lua. It may be repeated after a lost reply, by the client
// too.
func (s *Snowflake) askLease(ctx context.Context, c leaseCall) (leaseReply, error) {
	worker := ""
	if c.worker >= 0 {
		worker = fmt.Sprint(c.worker)
	}
	o := &s.options
	values, err := leaseScript.Run(ctx, s.rdb, []string{o.key()}, o.layout(), c.owner, worker, c.base, 1<<o.workerBits,
		o.window.Milliseconds(), o.ttl().Milliseconds(), o.skew.Milliseconds(), c.floor).Slice()
	if err != nil {
		return leaseReply{}, fmt.Errorf("%w: %s: %w", ErrBackend, o.key(), err)
	}
	r, ok := readLease(values)
	if !ok {
		return leaseReply{}, fmt.Errorf("%w: %s: an answer that cannot be understood: %v", ErrBackend, o.key(), values)
	}
	return r, nil
}

func readLease(values []any) (r leaseReply, ok bool) {
	if len(values) < 3 {
		return r, false
	}
	status, isText := values[0].(string)
	micros, isNumber := values[1].(int64)
	r.status, r.now = status, time.UnixMicro(micros)
	if status == leaseLayout {
		r.layout, ok = values[2].(string)
		return r, ok && isText && isNumber
	}
	if len(values) < 4 {
		return r, false
	}
	worker, isWorker := values[2].(int64)
	milli, isTime := values[3].(int64)
	r.worker, r.time = worker, time.UnixMilli(milli)
	return r, isText && isNumber && isWorker && isTime
}

// returnLease gives the worker number back.
func (s *Snowflake) returnLease(ctx context.Context, owner string) error {
	err := returnScript.Run(ctx, s.rdb, []string{s.options.key()}, owner).Err()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("%w: the worker number could not be given back: %w", ErrBackend, err)
	}
	return nil
}
