package locktest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/locktest"
)

func TestAClusterTakesCommandsWhenItHasStarted(t *testing.T) {
	t.Parallel()
	c := locktest.StartCluster(t, 3, 1, "--maxmemory-policy", "allkeys-lru")
	rdb := c.Client(nil)
	for i := range 100 {
		if err := rdb.Set(t.Context(), fmt.Sprint("k", i), "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	m := c.Master("k1")
	if got := m.Client(once()).Get(t.Context(), "k1").Val(); got != "v" {
		t.Errorf("GET at the key's master = %q; want v", got)
	}
	if got := m.Client(once()).ConfigGet(t.Context(), "maxmemory-policy").Val()["maxmemory-policy"]; got != "allkeys-lru" {
		t.Errorf("maxmemory-policy = %q; want what the test asked for", got)
	}
	if nodes, addrs := c.Nodes(), c.Addrs(); len(nodes) != 6 || len(addrs) != 6 || addrs[5] != nodes[5].Addr() {
		t.Errorf("%d nodes at %v; want 6", len(nodes), addrs)
	}
	for i, m := range c.Nodes()[:3] {
		if r := c.Replicas(m); len(r) != 1 || r[0] != c.Nodes()[3+i] {
			t.Errorf("node %d has %d replicas; want node %d", i, len(r), 3+i)
		}
		if r := c.Replicas(c.Nodes()[3+i]); len(r) != 0 {
			t.Errorf("the replica %d has %d replicas; want none", 3+i, len(r))
		}
	}
}

func TestASlotMovesWhileItIsWrittenTo(t *testing.T) {
	t.Parallel()
	const slot, writers, moves = "{slot}", 4, 4
	c := locktest.StartCluster(t, 3, 0)
	rdb := c.Client(&redis.ClusterOptions{MaxRedirects: 8})
	for i := range 1000 { // some that nobody touches
		if err := rdb.Set(t.Context(), fmt.Sprint(slot, "idle", i), i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	counts, begun := make([]int, writers), make(chan struct{}, writers)
	for w := range writers {
		counter := fmt.Sprint(slot, "counter", w)
		wg.Go(func() {
			for ctx.Err() == nil {
				n := counts[w]
				// One key that stays, and one that comes and goes.
				if err := rdb.Incr(t.Context(), counter).Err(); err != nil {
					t.Errorf("INCR %d: %v", n, err)
					return
				}
				if err := rdb.Set(t.Context(), fmt.Sprint(slot, "new", w, ":", n), n, 0).Err(); err != nil {
					t.Errorf("SET %d: %v", n, err)
					return
				}
				if n >= 10 {
					if gone, err := rdb.Del(t.Context(), fmt.Sprint(slot, "new", w, ":", n-10)).Result(); err != nil || gone != 1 {
						t.Errorf("DEL %d = %d, %v", n-10, gone, err)
						return
					}
				}
				if counts[w]++; n == 20 {
					begun <- struct{}{}
				}
			}
		})
	}
	for range writers {
		select {
		case <-begun:
		case <-time.After(10 * time.Second):
			t.Fatal("the writers do not write")
		}
	}
	owner := c.Master(slot)
	for range moves {
		to := c.MoveSlot(slot)
		if to == owner || to != c.Master(slot) {
			t.Fatalf("moved from %s to %s; the master is %s", owner.Addr(), to.Addr(), c.Master(slot).Addr())
		}
		owner = to
	}
	stop()
	wg.Wait()

	at := owner.Client(once())
	for w, n := range counts {
		if got, err := at.Get(t.Context(), fmt.Sprint(slot, "counter", w)).Int(); err != nil || got != n {
			t.Errorf("the counter of writer %d is %d, %v; want %d", w, got, err, n)
		}
	}
	if n := at.DBSize(t.Context()).Val(); n != 1000+writers+writers*10 {
		t.Errorf("the owner has %d keys; want %d", n, 1000+writers+writers*10)
	}
	for _, n := range c.Nodes() {
		if n == owner {
			continue
		}
		if size := n.Client(once()).DBSize(t.Context()).Val(); size != 0 {
			t.Errorf("%d keys are left at another node", size)
		}
	}
	t.Logf("%v rounds of writes during %d moves", counts, moves)
}

func TestAClusterReplacesAMasterThatIsGone(t *testing.T) {
	t.Parallel()
	c := locktest.StartCluster(t, 3, 1)
	rdb := c.Client(&redis.ClusterOptions{
		ClusterStateReloadInterval: 100 * time.Millisecond, DialTimeout: time.Second, ReadTimeout: time.Second,
	})
	for _, way := range []struct {
		name     string
		away     func(*locktest.Redis)
		comeBack func(*locktest.Redis)
	}{
		{"killed", (*locktest.Redis).Kill, (*locktest.Redis).Restart},
		{"stopped", (*locktest.Redis).Stop, (*locktest.Redis).Continue},
	} {
		old := c.Master("k")
		way.away(old)
		successor := c.AwaitMaster("k", old)
		if successor == old || c.Master("k") != successor {
			t.Fatalf("%s: %s was replaced by %s; the master is %s", way.name, old.Addr(), successor.Addr(), c.Master("k").Addr())
		}
		eventually(t, "a write to the successor", func() error { return rdb.Set(t.Context(), "k", way.name, 0).Err() })
		way.comeBack(old)
		c.AwaitHealthy()
		if r := c.Replicas(successor); len(r) != 1 || r[0] != old {
			t.Fatalf("%s: the old master is not the successor's one replica", way.name)
		}
		if got := rdb.Get(t.Context(), "k").Val(); got != way.name {
			t.Errorf("GET = %q; want %q", got, way.name)
		}
	}
}

func TestAManualFailoverOfAClusterLosesNothing(t *testing.T) {
	t.Parallel()
	c := locktest.StartCluster(t, 1, 2)
	rdb := c.Client(nil)
	seen := map[*locktest.Redis]bool{}
	for i := range 3 { // each node once: no wait for an election's repetition
		old := c.Master("k")
		if err := rdb.Set(t.Context(), "k", i, 0).Err(); err != nil {
			t.Fatal(err)
		}
		successor := c.Failover("k")
		if successor == old || c.Master("k") != successor {
			t.Fatalf("failover from %s to %s; the master is %s", old.Addr(), successor.Addr(), c.Master("k").Addr())
		}
		seen[successor] = true
		c.AwaitHealthy()
		if r := c.Replicas(successor); len(r) != 2 {
			t.Errorf("the successor has %d replicas; want 2", len(r))
		}
		if got, err := rdb.Get(t.Context(), "k").Int(); err != nil || got != i {
			t.Errorf("GET = %d, %v; want %d", got, err, i)
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d nodes have been elected in 3 failovers; want each once", len(seen))
	}
}

// eventually calls try until it returns nil: clients take a moment to follow.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal(errors.Join(fmt.Errorf("%s does not succeed", what), err))
		}
	}
}
