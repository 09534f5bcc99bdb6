package core_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// onCluster returns Lockers with a client each, as if in processes of their own.
func onCluster(t *testing.T, c *locktest.Cluster, n int, opts ...core.Option) []*core.RedisLocker {
	t.Helper()
	opts = append([]core.Option{core.TTL(crowdTTL), core.Wait(crowdPatience)}, opts...)
	var lockers []*core.RedisLocker
	for i := range n {
		rdb := c.Client(&redis.ClusterOptions{ContextTimeoutEnabled: i%2 == 1})
		lockers = append(lockers, newLocker(t, rdb, opts...))
	}
	return lockers
}

// leaseName waits until key is held, and returns the lease's name: the slots of
// Redis keys are what a cluster moves.
func leaseName(t *testing.T, rdb *redis.ClusterClient, key string) string {
	t.Helper()
	var mu sync.Mutex
	var found string
	eventually(t, key+" is held", func() bool {
		err := rdb.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error {
			names, err := node.Keys(ctx, "*:l:"+key).Result()
			mu.Lock()
			defer mu.Unlock()
			if len(names) > 0 {
				found = names[0]
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found != ""
	})
	return found
}

func onlyFencesInCluster(t *testing.T, c *redis.ClusterClient) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	err := c.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		names, err := node.Keys(ctx, "*").Result()
		for _, n := range names {
			if !strings.HasSuffix(n, ":fence") {
				t.Errorf("left in Redis: %s", n)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestClusterOneHolderAtATimeWhileSlotsMove(t *testing.T) {
	t.Parallel()
	labelGoroutines(t)
	c := locktest.StartCluster(t, 3, 0)
	lockers := onCluster(t, c, 3)
	crowd := newCrowd(t, lockers)
	for i := range *faults {
		start := crowd.mark()
		crowd.recovery(start)
		c.MoveSlot(leaseName(t, c.Client(nil), crowd.places[0].key))
		moved := crowd.mark()
		t.Logf("move %d took %v; every key granted again after %v", i+1, moved.Sub(start), crowd.recovery(moved))
	}
	crowd.end()
	doubles, refused, accepted, falls := crowd.sums()
	t.Logf("%d grants, %d refusals, %d lost", crowd.grants.Load(), crowd.refusals.Load(), crowd.lost.Load())
	if doubles+refused+accepted+falls > 0 {
		t.Errorf("%d double grants, %d stale writes refused and %d not, %d tokens that did not rise", doubles, refused, accepted, falls)
	}
	leavesNoGoroutine(t, lockers)
	onlyFencesInCluster(t, c.Client(nil))
}

func TestClusterFailoverLeavesNobodyWaiting(t *testing.T) {
	t.Parallel()
	labelGoroutines(t)
	c := locktest.StartCluster(t, 3, 1)
	lockers := onCluster(t, c, 3)
	crowd := newCrowd(t, lockers)
	for i := range *faults {
		crowd.recovery(crowd.mark())
		key := leaseName(t, c.Client(nil), crowd.places[0].key)
		victim := c.Master(key)
		crowd.lingering.Store(true)
		<-time.After(replicaLag)
		victim.Kill()
		died := crowd.mark()
		crowd.lingering.Store(false)
		c.AwaitMaster(key, victim)
		elected := time.Since(died)
		t.Logf("kill %d: elected after %v, every key granted again after %v", i+1, elected, crowd.recovery(died))
		victim.Restart()
		c.AwaitHealthy()
	}
	crowd.end()
	doubles, refused, accepted, falls := crowd.sums()
	t.Logf("%d grants, %d refusals, %d lost, %d double grants, %d stale writes refused",
		crowd.grants.Load(), crowd.refusals.Load(), crowd.lost.Load(), doubles, refused)
	if accepted+falls > 0 {
		t.Errorf("%d stale writes accepted, %d tokens that did not rise", accepted, falls)
	}
	leavesNoGoroutine(t, lockers)
}
