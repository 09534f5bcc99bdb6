package core_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/internal/faultproxy"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// soon is how long what takes less than a second may take on a busy machine.
const soon = 3 * time.Second

// firstSuccess has requests try until one succeeds, and returns how long that took
// and how many failed before.
func firstSuccess(t *testing.T, try func(ctx context.Context, i int) error) (time.Duration, int) {
	t.Helper()
	start := time.Now()
	var first, failed atomic.Int64
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for first.Load() == 0 && time.Since(start) < time.Minute {
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				if err := try(ctx, i); err == nil {
					first.CompareAndSwap(0, int64(time.Since(start)))
				} else if failed.Add(1) == 1 {
					t.Log("first failure: ", err)
				}
				cancel()
				<-time.After(20 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	return time.Duration(first.Load()), int(failed.Load())
}

// burst has the client open n connections, as the application may have done.
func burst(rdb redis.UniversalClient, n int) {
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { rdb.BLPop(context.Background(), time.Second, "none") })
	}
	wg.Wait()
}

func TestConnectionsThatDieSilentlyAreReplaced(t *testing.T) {
	for name, opts := range map[string][]core.Option{"own client": nil, "shared client": {core.SharedClient()}} {
		for _, idle := range []int{20, 40, 100} {
			t.Run(fmt.Sprintf("%s, %d connections", name, idle), func(t *testing.T) {
				t.Parallel()
				srv := locktest.StartRedis(t)
				p := faultproxy.New(t, srv.Addr())
				rdb := redis.NewClient(&redis.Options{Addr: p.Addr(), ContextTimeoutEnabled: true, PoolSize: 160})
				defer rdb.Close()
				l := newLocker(t, rdb, opts...)
				burst(rdb, idle)
				held := must[core.Lock](t)(l.Acquire(t.Context(), "held"))
				if n := p.SilenceOpen(); n < idle {
					t.Fatalf("%d connections", n)
				}
				took, failed := firstSuccess(t, func(ctx context.Context, i int) error {
					return l.Do(ctx, fmt.Sprint("k", i), func(context.Context) error { return nil })
				})
				t.Logf("served again after %v, %d requests failed", took.Round(time.Millisecond), failed)
				if took == 0 || took > soon || failed > 0 {
					t.Errorf("first success after %v, %d requests failed", took, failed)
				}
				// A renewal is due within a third of the TTL.
				select {
				case <-held.Context().Done():
					t.Errorf("a holder was told %v", context.Cause(held.Context()))
				case <-time.After(4 * time.Second):
				}
				if err := held.Release(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

