package locktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// clusterSlots is how many slots the keys of a cluster fall in.
const clusterSlots = 16384

// Cluster is a Redis Cluster of a test's own: redis-server processes on
// 127.0.0.1, each of which can be stopped, killed and restarted (see [Redis]).
//
// Client, Addrs, Nodes, Master and Replicas are safe for concurrent use. What
// changes the cluster or waits for a change is the steps of one story, as are
// the nodes' Stop, Continue, Kill and Restart: call them from one goroutine. A
// wait that takes too long fails the test and shows how each node sees the
// cluster.
type Cluster struct {
	tb    testing.TB
	nodes []*Redis
	admin map[*Redis]*redis.Client
	// When a node was last elected, and when it was last replaced.
	won, lost map[*Redis]time.Time
}

// StartCluster starts a Redis Cluster of that many masters, with that many
// replicas of each: StartCluster(t, 3, 1) is six processes. The slots are
// shared out evenly and in order. It returns when all nodes know each other
// and take commands, and the replicas replicate: after two seconds, which is
// how long a master that has just started refuses commands.
//
// A node counts as failed after one second without an answer; a replica of its
// replaces it about one second later, if the majority of the masters lives, so
// that a test which kills one needs three. A node that comes back takes its
// successor's side. No replica ever moves to another master by itself.
//
// The extra arguments are settings of each node that come last and win:
// StartCluster(t, 3, 1, "--cluster-node-timeout", "5000"). With a password among
// them (see [StartRedis]), the nodes log in to each other with it, unless there is a
// --masterauth; its user must have all rights. The processes are killed when the test
// is over, or with the test process; without a redis-server it is as with [StartRedis].
func StartCluster(tb testing.TB, masters, replicas int, extraArgs ...string) *Cluster {
	tb.Helper()
	if masters < 1 || replicas < 0 {
		tb.Fatalf("locktest: a cluster of %d masters with %d replicas each", masters, replicas)
	}
	bin := lookUpRedis(tb)
	c := &Cluster{
		tb: tb, admin: make(map[*Redis]*redis.Client),
		won: make(map[*Redis]time.Time), lost: make(map[*Redis]time.Time),
	}
	for range masters * (1 + replicas) {
		n := newRedis(tb, bin, append([]string{
			"--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
			"--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor", "0",
			// A spare replica would move to a master that has none, and an
			// old master would not come back to where it was.
			"--cluster-migration-barrier", "1000",
			"--repl-diskless-sync-delay", "0",
		}, extraArgs...))
		n.mode, n.bus = "cluster node", true
		c.nodes = append(c.nodes, n)
	}
	if err := inParallel(c.nodes, (*Redis).open); err != nil {
		tb.Fatalf("locktest: %v", err)
	}
	for _, n := range c.nodes {
		c.admin[n] = n.Client(adminOptions())
		if err := n.replicateAs(tb.Context(), c.admin[n], n.login()); err != nil {
			tb.Fatalf("locktest: node %s: %v", n.Addr(), err)
		}
	}
	if err := c.form(tb.Context(), masters); err != nil {
		tb.Fatalf("locktest: the cluster cannot be formed: %v", err)
	}
	c.attachReplicas(masters, replicas)
	c.AwaitHealthy()
	return c
}

// form gives the masters, the first nodes, their slots and introduces all to
// each other.
func (c *Cluster) form(ctx context.Context, masters int) error {
	for i, n := range c.nodes {
		// Without an epoch of its own each, the nodes sort out who yields.
		if err := c.admin[n].Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil {
			return err
		}
		if i < masters {
			first, next := i*clusterSlots/masters, (i+1)*clusterSlots/masters
			if err := c.admin[n].ClusterAddSlotsRange(ctx, first, next-1).Err(); err != nil {
				return err
			}
		}
	}
	for i, n := range c.nodes {
		for _, other := range c.nodes[:i] {
			if err := c.admin[n].Do(ctx, "CLUSTER", "MEET", "127.0.0.1", other.port, other.busPort).Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// attachReplicas shares the nodes that are no masters out to the masters.
func (c *Cluster) attachReplicas(masters, replicas int) {
	c.tb.Helper()
	for i, n := range c.nodes[masters:] {
		master := c.nodes[i/replicas]
		c.await(fmt.Sprintf("%s to replicate %s", n.Addr(), master.Addr()), func(ctx context.Context) error {
			id, err := c.admin[master].ClusterMyID(ctx).Result()
			if err != nil {
				return err
			}
			return c.admin[n].ClusterReplicate(ctx, id).Err() // not before they have met
		})
	}
}

// adminOptions are those of the starters' own clients: an answer or an error,
// and the next poll tries again.
func adminOptions() *redis.Options {
	return &redis.Options{
		MaxRetries: -1, DialerRetries: 1, DialTimeout: time.Second,
		ReadTimeout: awaitTimeout, ContextTimeoutEnabled: true,
	}
}

// Client returns a client of the cluster that is closed when the test is over.
// opts may be nil; its Addrs, if empty, are set to those of all nodes, and its login,
// if it has none and the nodes ask for one.
//
// A client hears of a slot that has moved, or of a manual failover, by a
// redirection; that a master is gone it learns when it asks for the slots again,
// by default once a minute (ClusterStateReloadInterval).
func (c *Cluster) Client(opts *redis.ClusterOptions) *redis.ClusterClient {
	var o redis.ClusterOptions
	if opts != nil {
		o = *opts
	}
	if len(o.Addrs) == 0 {
		o.Addrs = c.Addrs()
	}
	c.nodes[0].login().into(&o.Username, &o.Password, o.CredentialsProvider != nil ||
		o.CredentialsProviderContext != nil || o.StreamingCredentialsProvider != nil)
	if o.MaintNotificationsConfig == nil { // see newClient
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	}
	rdb := redis.NewClusterClient(&o)
	c.tb.Cleanup(func() { _ = rdb.Close() }) // ErrClosed if the test closed it
	return rdb
}

// Addrs returns host:port of each node, in the order of Nodes.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		addrs[i] = n.Addr()
	}
	return addrs
}

// Nodes returns all nodes, also those that do not run: first those that were
// started as masters, then the replicas of the first of them, and so on.
func (c *Cluster) Nodes() []*Redis { return slices.Clone(c.nodes) }

// Master returns the node that serves the slot of that Redis key, as the
// majority of the nodes that run say. Just after a Kill that may still be the
// one that was killed: see [Cluster.AwaitMaster].
func (c *Cluster) Master(key string) *Redis {
	c.tb.Helper()
	slot := c.slot(key)
	var addr string
	c.await(fmt.Sprintf("a majority on who serves slot %d", slot), func(ctx context.Context) (err error) {
		addr, err = c.most(ctx, func(v clusterView) string { return v.owner(slot) })
		return err
	})
	return c.node(addr)
}

// Replicas returns the nodes that replicate m, as the majority of the nodes
// that run say, also those that do not run. It is empty if m is no master.
func (c *Cluster) Replicas(m *Redis) []*Redis {
	c.tb.Helper()
	var replicas []*Redis
	c.await("a majority on who replicates "+m.Addr(), func(ctx context.Context) (err error) {
		replicas, err = c.replicasOf(ctx, m)
		return err
	})
	return replicas
}

func (c *Cluster) replicasOf(ctx context.Context, m *Redis) ([]*Redis, error) {
	master, err := c.most(ctx, func(v clusterView) string { return v.at(m.Addr()).id })
	if err != nil {
		return nil, err
	}
	var replicas []*Redis
	for _, n := range c.nodes {
		id, err := c.most(ctx, func(v clusterView) string { return v.at(n.Addr()).master })
		if err != nil {
			return nil, err
		}
		if id == master {
			replicas = append(replicas, n)
		}
	}
	return replicas, nil
}

// node returns the node with that address, or nil.
func (c *Cluster) node(addr string) *Redis {
	for _, n := range c.nodes {
		if n.Addr() == addr {
			return n
		}
	}
	return nil
}

// slot returns the slot that a key falls in.
func (c *Cluster) slot(key string) int {
	c.tb.Helper()
	var slot int64
	c.await("the slot of key "+strconv.Quote(key), func(ctx context.Context) (err error) {
		for _, n := range c.nodes {
			if n.lives() {
				slot, err = c.admin[n].ClusterKeySlot(ctx, key).Result()
				return err
			}
		}
		return errors.New("no node runs")
	})
	return int(slot)
}

func (c *Cluster) await(what string, try func(context.Context) error) {
	c.tb.Helper()
	await(c.tb, what, c.show, try)
}
