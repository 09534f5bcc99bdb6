package locktest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// manualFailoverTimeout is after how long a node gives a manual failover up.
const manualFailoverTimeout = 5 * time.Second

// AwaitMaster waits until a node other than not, which may be nil, serves the
// slot of that Redis key, in the view of all nodes that run, and returns it. It
// is for the time after not.Kill() or not.Stop().
func (c *Cluster) AwaitMaster(key string, not *Redis) *Redis {
	c.tb.Helper()
	slot := c.slot(key)
	var owner *Redis
	what := fmt.Sprintf("a master of slot %d", slot)
	if not != nil {
		what += " other than " + not.Addr()
	}
	c.await(what, func(ctx context.Context) (err error) {
		owner, err = c.agreedOwner(ctx, slot)
		if err == nil && owner == not {
			err = errors.New("it is as it was")
		}
		return err
	})
	if not != nil {
		c.noteElection(owner, not)
	}
	return owner
}

// Failover lets a replica of the master of that Redis key's slot take its
// place, without a lost write (CLUSTER FAILOVER), and returns the new master
// when all nodes that run agree. The old one becomes its replica.
//
// A node stands for election once in four seconds, or in four node timeouts if
// those are longer; when no replica may yet, the failover waits for it.
func (c *Cluster) Failover(key string) *Redis {
	c.tb.Helper()
	old, slot := c.Master(key), c.slot(key)
	var owner *Redis
	var asked time.Time
	c.await("a manual failover of "+old.Addr(), func(ctx context.Context) (err error) {
		owner, err = c.agreedOwner(ctx, slot)
		if err != nil {
			return err
		}
		if owner != old {
			return c.agreedReplica(ctx, old, owner)
		}
		if time.Since(asked) < manualFailoverTimeout {
			return errors.New("a replica is at it")
		}
		if err = c.askFailover(ctx, old); err == nil {
			asked = time.Now()
			err = errors.New("a replica was asked for it")
		}
		return err
	})
	c.noteElection(owner, old)
	return owner
}

// agreedReplica returns nil if in the view of all nodes that live r replicates
// master.
func (c *Cluster) agreedReplica(ctx context.Context, r, master *Redis) error {
	views, err := c.views(ctx)
	for n, v := range views {
		if v.at(r.Addr()).master != v.at(master.Addr()).id {
			return fmt.Errorf("to node %s, %s does not replicate %s", n.Addr(), r.Addr(), master.Addr())
		}
	}
	return err
}

func (c *Cluster) noteElection(winner, loser *Redis) {
	now := time.Now()
	c.won[winner], c.lost[loser] = now, now
}

// askFailover has a replica of master begin, not before it can be elected:
// the master refuses commands meanwhile.
func (c *Cluster) askFailover(ctx context.Context, master *Redis) error {
	timeout, err := c.nodeTimeout(ctx, master)
	if err != nil {
		return err
	}
	if since := time.Since(c.lost[master]); since < 2*timeout {
		return fmt.Errorf("%s was replaced %v ago, and the masters vote on it once in %v", master.Addr(), since, 2*timeout)
	}
	replicas, err := c.replicasOf(ctx, master)
	if err != nil {
		return err
	}
	pause := 4 * max(timeout, time.Second)
	err = fmt.Errorf("%s has no replica that runs", master.Addr())
	for _, n := range replicas {
		if !n.lives() {
			continue
		}
		if since := time.Since(c.won[n]); since < pause {
			err = fmt.Errorf("%s was elected %v ago, and stands once in %v", n.Addr(), since, pause)
			continue
		}
		if err = replicates(ctx, c.admin[n], master); err == nil {
			return c.admin[n].ClusterFailover(ctx).Err()
		}
	}
	return err
}

func (c *Cluster) nodeTimeout(ctx context.Context, n *Redis) (time.Duration, error) {
	const name = "cluster-node-timeout"
	settings, err := c.admin[n].ConfigGet(ctx, name).Result()
	if err != nil {
		return 0, err
	}
	ms, err := strconv.Atoi(settings[name])
	return time.Duration(ms) * time.Millisecond, err
}

// AwaitHealthy waits until all nodes run, agree and take commands, and every
// replica replicates. It is for the time after a Restart: a master that was
// replaced while it was away has then become a replica of its successor.
func (c *Cluster) AwaitHealthy() {
	c.tb.Helper()
	c.await("a healthy cluster", c.healthy)
}
