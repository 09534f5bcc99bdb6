package core_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// inSeveralBuckets returns n keys, each in another bucket, and what the buckets'
// names in Redis start with.
func inSeveralBuckets(t *testing.T, l *core.RedisLocker, rdb *redis.ClusterClient, n int) (keys []string) {
	t.Helper()
	tags := make(map[string]bool)
	for i := 0; len(keys) < n; i++ {
		key := fmt.Sprint("bucket/", i)
		lock := must[core.Lock](t)(l.Acquire(t.Context(), key))
		tag, _, _ := strings.Cut(leaseName(t, rdb, key), ":l:")
		if !tags[tag] {
			tags[tag] = true
			keys = append(keys, key)
		}
		if err := lock.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

// onMasters carries a command out on each master, and returns the sum of its
// answers.
func onMasters(t *testing.T, rdb *redis.ClusterClient, do func(context.Context, *redis.Client) (int64, error)) int64 {
	t.Helper()
	var mu sync.Mutex
	var sum int64
	err := rdb.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error {
		n, err := do(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		sum += n
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// waitingAt is how many entries wait.
func waitingAt(ctx context.Context, node *redis.Client) (int64, error) {
	names, err := node.Keys(ctx, "*:q:bucket/*").Result()
	var n int64
	for _, name := range names {
		n += node.ZCard(ctx, name).Val()
	}
	return n, err
}

// Nobody's wait is to depend on a connection: one that is killed costs those who
// heard by it a moment, not the interval between two polls, and not the lock.
func TestClusterWaitersInSeveralBucketsResumeWhenTheirSubscriptionsAreKilled(t *testing.T) {
	t.Parallel()
	labelGoroutines(t)
	const buckets, rounds = 6, 4
	c := locktest.StartCluster(t, 3, 0)
	admin := c.Client(nil)
	// Their polls would be 5 s apart.
	opts := []core.Option{core.TTL(time.Minute), core.Wait(time.Minute), core.Tenure(0)}
	holder, waiter := newLocker(t, c.Client(nil), opts...), newLocker(t, c.Client(nil), opts...)
	keys := inSeveralBuckets(t, holder, admin, buckets)

	var load sync.WaitGroup
	over := make(chan struct{})
	for i, l := range []*core.RedisLocker{holder, waiter} {
		load.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				default:
				}
				lock, err := l.Acquire(t.Context(), fmt.Sprint("load/", i, n%100))
				if err == nil {
					err = lock.Release(t.Context())
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}

	kill := func() int64 {
		return onMasters(t, admin, func(ctx context.Context, node *redis.Client) (int64, error) {
			return node.ClientKillByFilter(ctx, "TYPE", "pubsub").Result()
		})
	}
	for round := range rounds {
		var held []core.Lock
		for _, key := range keys {
			held = append(held, must[core.Lock](t)(holder.Acquire(t.Context(), key)))
		}
		type granted struct {
			lock core.Lock
			at   time.Time
			err  error
		}
		grants := make(chan granted, buckets)
		for _, key := range keys {
			go func() {
				lock, err := waiter.Acquire(t.Context(), key)
				grants <- granted{lock, time.Now(), err}
			}()
		}
		eventually(t, "all wait in Redis", func() bool { return onMasters(t, admin, waitingAt) == buckets })
		if n := kill(); n == 0 {
			t.Fatal("no subscription was killed")
		}
		if round%2 == 1 {
			kill() // and what has taken their place, perhaps
			eventually(t, "all wait in Redis", func() bool { return onMasters(t, admin, waitingAt) == buckets })
		}
		released := time.Now()
		for _, lock := range held {
			if err := lock.Release(t.Context()); err != nil {
				t.Error(err)
			}
		}
		var took []time.Duration
		for range keys {
			select {
			case g := <-grants:
				if g.err != nil {
					t.Fatal(g.err)
				}
				took = append(took, g.at.Sub(released).Round(time.Millisecond))
				if err := g.lock.Release(t.Context()); err != nil {
					t.Error(err)
				}
			case <-time.After(crowdPatience):
				t.Fatalf("round %d: %d of %d waiters have resumed", round, len(took), buckets)
			}
		}
		t.Logf("round %d: resumed after %v", round, took)
		if d := slices.Max(took); d > 3*time.Second {
			t.Errorf("the last resumed after %v, as if by its poll", d)
		}
	}
	close(over)
	load.Wait()
	leavesNoGoroutine(t, []*core.RedisLocker{holder, waiter})
	onlyFencesInCluster(t, admin)
}

// A client of servers that are not in cluster mode, and know no slots, may be a
// ClusterClient too: it reads from their replicas (redis.NewFailoverClusterClient).
func TestClusterClientOfServersOutsideClusterModeLocks(t *testing.T) {
	t.Parallel()
	srv := locktest.StartRedis(t)
	outside := func() *redis.ClusterClient {
		rdb := redis.NewClusterClient(&redis.ClusterOptions{ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
			return []redis.ClusterSlot{{End: 16383, Nodes: []redis.ClusterNode{{Addr: srv.Addr()}}}}, nil
		}})
		t.Cleanup(func() { rdb.Close() })
		return rdb
	}
	a := newLocker(t, outside(), core.TTL(time.Minute), core.Wait(time.Minute), core.Tenure(0))
	b := newLocker(t, outside(), core.TTL(time.Minute), core.Wait(time.Minute), core.Tenure(0))
	for i := range 8 {
		key := fmt.Sprint("k", i)
		held := must[core.Lock](t)(a.Acquire(t.Context(), key))
		got := make(chan core.Lock, 1)
		go func() {
			lock, err := b.Acquire(t.Context(), key)
			if err != nil {
				t.Error(err)
			}
			got <- lock
		}()
		eventually(t, "it waits", waitsInRedis(t, srv.Client(nil), 1))
		if err := held.Release(t.Context()); err != nil {
			t.Error(err)
		}
		lock := <-got
		if lock == nil {
			return
		}
		if h := lock.Info().Handoff; h != core.HandoffRemote {
			t.Errorf("%s: %v, want it passed on", key, h)
		}
		if err := lock.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
	onlyFences(t, srv.Client(nil))
}
