// Package uncontended repeats the commands of a lock that nobody contends for, so that
// a transport's overhead can be measured beside a bare round trip to Redis.
package uncontended

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// Command is one that Latchkey has sent, for the key of the first request.
type Command struct{ args []any }

// Do sends the same command for the key of request id, to Redis by itself.
func (c Command) Do(ctx context.Context, rdb *redis.Client, id string) error {
	args := make([]any, len(c.args))
	for i, arg := range c.args {
		if text, ok := arg.(string); ok {
			arg = strings.Replace(text, firstID, id, 1)
		}
		args[i] = arg
	}
	return rdb.Do(ctx, args...).Err()
}

// firstID is what no hash and no number of a command holds.
const firstID = "the-first-request"

// recorder keeps the scripts that are called for the first request.
type recorder struct {
	mu   sync.Mutex
	seen []Command
}

func (r *recorder) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *recorder) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (r *recorder) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() == "evalsha" && strings.Contains(cmd.String(), firstID) {
			r.mu.Lock()
			r.seen = append(r.seen, Command{cmd.Args()})
			r.mu.Unlock()
		}
		return err
	}
}

// Record returns the commands by which a lock is taken and given back whose key is
// the prefix and a request's ID.
func Record(tb testing.TB, server *locktest.Redis, prefix string) (acquire, release Command) {
	rdb := server.Client(nil)
	recorded := &recorder{}
	rdb.AddHook(recorded)
	locker, err := core.New(rdb, core.SharedClient()) // the recorder is a hook
	if err != nil {
		tb.Fatal(err)
	}
	lock, err := locker.Acquire(tb.Context(), prefix+firstID)
	if err != nil {
		tb.Fatal(err)
	}
	if err := errors.Join(lock.Release(tb.Context()), locker.Close()); err != nil {
		tb.Fatal(err)
	}
	if len(recorded.seen) != 2 {
		tb.Fatalf("an acquire and a release took %d commands", len(recorded.seen))
	}
	return recorded.seen[0], recorded.seen[1]
}
