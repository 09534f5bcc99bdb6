package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// cycle acquires and releases one key.
type cycle func(ctx context.Context, key string) error

// candidates are the ways to lock that are compared, by name.
func candidates(b *testing.B, srv *locktest.Redis) map[string]cycle {
	rdb := srv.Client(nil)
	l, err := core.New(srv.Client(nil))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	return map[string]cycle{
		"latchkey": func(ctx context.Context, key string) error {
			lock, err := l.Acquire(ctx, key)
			if err != nil {
				return err
			}
			return lock.Release(ctx)
		},
		"recipe": func(ctx context.Context, key string) error { return recipe(ctx, rdb, key) },
	}
}

// unlock is the compare-and-delete that most recipes use.
var unlock = redis.NewScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`)

// recipe is the well-known lock: SET NX with a unique owner, polled every
// millisecond, and a compare-and-delete.
func recipe(ctx context.Context, rdb *redis.Client, key string) error {
	owner := uuid.NewString()
	for {
		ok, err := rdb.SetNX(ctx, key, owner, 10*time.Second).Result()
		if err != nil {
			return err
		}
		if ok {
			return unlock.Run(ctx, rdb, []string{key}, owner).Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// BenchmarkCycle is one acquire and release by a lone caller of a free key.
func BenchmarkCycle(b *testing.B) {
	for name, run := range candidates(b, locktest.StartRedis(b)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := run(b.Context(), "k"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDistinctKeys is the same by 64 callers, each with keys of its own.
func BenchmarkDistinctKeys(b *testing.B) {
	parallel(b, func(i int64) string { return fmt.Sprint("k", i) })
}

// BenchmarkHotKey is 64 callers of one key with an empty critical section.
func BenchmarkHotKey(b *testing.B) { parallel(b, func(int64) string { return "k" }) }

func parallel(b *testing.B, key func(caller int64) string) {
	for name, run := range candidates(b, locktest.StartRedis(b)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32) // of 2 processors: 64 callers
			var callers atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				k := key(callers.Add(1))
				for pb.Next() {
					if err := run(b.Context(), k); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
