package core_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
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

// handover has b wait for the lock of a, and returns how long it takes from a's
// release until b has it.
func handover(t *testing.T, a, b core.Locker) time.Duration {
	t.Helper()
	lock := must[core.Lock](t)(a.Acquire(t.Context(), "k"))
	granted := make(chan time.Time, 1)
	go func() {
		next, err := b.Acquire(t.Context(), "k")
		if err != nil {
			t.Error(err)
		}
		granted <- time.Now()
		if err == nil {
			_ = next.Release(t.Context())
		}
	}()
	<-time.After(200 * time.Millisecond) // it is in line by then, or is not
	released := time.Now()
	if err := lock.Release(t.Context()); err != nil {
		t.Error(err)
	}
	return (<-granted).Sub(released)
}

// promote makes to the primary, and from its replica.
func promote(t *testing.T, from, to *locktest.Redis) {
	t.Helper()
	rdb := to.Client(nil)
	host, port, err := net.SplitHostPort(from.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := rdb.SlaveOf(t.Context(), host, port).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replica follows", func() bool {
		return strings.Contains(rdb.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	if err := rdb.SlaveOf(t.Context(), "no", "one").Err(); err != nil {
		t.Fatal(err)
	}
}

// An address that leads to another server by now: the subscription has to follow,
// too. The old server may have been demoted, or live on as it was.
func TestASubscriptionFollowsAnAddressThatMoves(t *testing.T) {
	for name, opts := range map[string][]core.Option{"own client": nil, "shared client": {core.SharedClient()}} {
		for _, demoted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, demoted %v", name, demoted), func(t *testing.T) {
				t.Parallel()
				first, second := locktest.StartRedis(t), locktest.StartRedis(t)
				p := faultproxy.New(t, first.Addr())
				locker := func() *core.RedisLocker {
					rdb := redis.NewClient(&redis.Options{Addr: p.Addr()})
					t.Cleanup(func() { rdb.Close() })
					return newLocker(t, rdb, opts...)
				}
				a, b := locker(), locker()
				t.Logf("before: %v, %v", handover(t, a, b), handover(t, b, a))
				promote(t, first, second)
				p.Retarget(second.Addr())
				if demoted {
					host, port, _ := net.SplitHostPort(second.Addr())
					if err := first.Client(nil).SlaveOf(t.Context(), host, port).Err(); err != nil {
						t.Fatal(err)
					}
				} else {
					// Only connections with commands are cut, as by a proxy that drains them.
					p.CutMatching(faultproxy.Contains("evalsha"))
				}
				var all []time.Duration
				for range 6 {
					all = append(all, handover(t, a, b), handover(t, b, a))
				}
				t.Logf("afterwards: %v", all)
				slow := 0
				for _, d := range all {
					if d > time.Second {
						slow++
					}
				}
				if slow > 1 || slices.Max(all) > soon {
					t.Errorf("handovers took %v", all)
				}
			})
		}
	}
}
