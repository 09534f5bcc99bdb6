package locktest_test

import (
	"testing"

	"github.com/latchkey-go/latchkey/core/locktest"
)

func TestAClusterTakesCommandsWhenItHasStarted(t *testing.T) {
	t.Parallel()
	c := locktest.StartCluster(t, 3, 1, "--maxmemory-policy", "allkeys-lru")
	rdb := c.Client(nil)
	if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	m := c.Master("k")
	if got := m.Client(once()).Get(t.Context(), "k").Val(); got != "v" {
		t.Errorf("GET at the key's master = %q; want v", got)
	}
	if got := m.Client(once()).ConfigGet(t.Context(), "maxmemory-policy").Val()["maxmemory-policy"]; got != "allkeys-lru" {
		t.Errorf("maxmemory-policy = %q; want what the test asked for", got)
	}
	if n, addrs := len(c.Nodes()), c.Addrs(); n != 6 || len(addrs) != 6 {
		t.Errorf("%d nodes at %v; want 6", n, addrs)
	}
	for i, m := range c.Nodes()[:3] {
		if r := c.Replicas(m); len(r) != 1 || r[0] != c.Nodes()[3+i] {
			t.Errorf("node %d has replicas %v; want node %d", i, r, 3+i)
		}
	}
}
