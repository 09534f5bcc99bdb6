package hunt

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/locktest"
)

// pair is two real servers, one a replica of the other, and the address at
// which clients find the primary.
type pair struct {
	t                *testing.T
	proxy            *proxy
	primary, replica *server
}

type server struct {
	*locktest.Redis
	admin *redis.Client
}

// followTimeout bounds the wait for a replica to have its primary's data.
const followTimeout = 20 * time.Second

func startPair(t *testing.T) *pair {
	t.Helper()
	start := func() *server {
		// By default a primary waits 5 s for more replicas to send its data to.
		r := locktest.StartRedis(t, "--repl-diskless-sync-delay", "0")
		return &server{r, r.Client(nil)}
	}
	p := &pair{t: t, primary: start(), replica: start()}
	p.proxy = startProxy(t, p.primary.Addr())
	p.follow()
	return p
}

// replicaOf changes what the replica follows.
func (p *pair) replicaOf(host, port string) {
	p.t.Helper()
	if err := p.replica.admin.ReplicaOf(p.t.Context(), host, port).Err(); err != nil {
		p.t.Fatal(err)
	}
}

// follow makes the replica one, and returns when it has the primary's data.
func (p *pair) follow() {
	p.t.Helper()
	host, port, err := net.SplitHostPort(p.primary.Addr())
	if err != nil {
		p.t.Fatal(err)
	}
	p.replicaOf(host, port)
	p.synced()
}

// synced returns when the replica has the primary's data, which it fetches by
// itself after the primary was restarted.
func (p *pair) synced() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), followTimeout)
	defer cancel()
	for ; ; elapse(ctx, 10*time.Millisecond) {
		info, err := p.replica.admin.InfoMap(ctx, "replication").Result()
		if err == nil && info["Replication"]["master_link_status"] == "up" && p.hasReplica(ctx) {
			return
		}
		if ctx.Err() != nil {
			p.t.Fatalf("hunt: the replica does not follow within %v: %v, %v", followTimeout, info, err)
		}
	}
}

// hasReplica tells whether the primary knows its replica: a replica takes its
// time to notice that a primary has restarted.
func (p *pair) hasReplica(ctx context.Context) bool {
	info, err := p.primary.admin.InfoMap(ctx, "replication").Result()
	n, _ := strconv.Atoi(info["Replication"]["connected_slaves"])
	return err == nil && n == 1
}

// empty lets the primary come back without its data.
func (p *pair) empty(down time.Duration) {
	p.t.Helper()
	p.primary.Kill()
	elapse(p.t.Context(), down)
	p.primary.Restart()
}

// rollBack undoes what is written while undone runs: the replica is cut off
// before, and promoted after it.
func (p *pair) rollBack(undone func()) {
	p.t.Helper()
	p.synced()
	p.replicaOf("no", "one")
	undone()
	p.primary.Kill()
	p.primary, p.replica = p.replica, p.primary
	p.proxy.lead(p.primary.Addr())
	p.replica.Restart()
	p.follow()
}
