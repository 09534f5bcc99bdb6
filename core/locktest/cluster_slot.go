package locktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// migrateBatch is how many keys move at a time: few enough that clients of the
// two nodes hardly wait.
const migrateBatch = 100

// MoveSlot moves the slot of that Redis key to another master while clients
// are at work, and returns the new owner when all nodes that run agree. It is
// the next master in the order of Nodes, so that repeated moves visit all of
// them.
//
// While the slot is on its way, commands for keys that have moved or do not
// exist yet are redirected with ASK; those for several keys of which only some
// have moved are refused with TRYAGAIN (see the Redis Cluster specification).
func (c *Cluster) MoveSlot(key string) *Redis {
	c.tb.Helper()
	slot, source := c.slot(key), c.Master(key)
	masters := c.mastersAfter(source)
	target := masters[0]
	ids := make(map[*Redis]string)
	step := func(what string, try func(context.Context) error) {
		c.tb.Helper()
		c.await(fmt.Sprintf("slot %d to move from %s to %s: %s", slot, source.Addr(), target.Addr(), what), try)
	}
	setSlot := func(at *Redis, args ...any) {
		c.tb.Helper()
		step(fmt.Sprintf("SETSLOT %v at %s", args, at.Addr()), func(ctx context.Context) error {
			return c.admin[at].Do(ctx, append([]any{"CLUSTER", "SETSLOT", slot}, args...)...).Err()
		})
	}
	step("the nodes' IDs", func(ctx context.Context) (err error) {
		for _, n := range []*Redis{source, target} {
			if ids[n], err = c.admin[n].ClusterMyID(ctx).Result(); err != nil {
				return err
			}
		}
		return nil
	})
	setSlot(target, "IMPORTING", ids[source])
	setSlot(source, "MIGRATING", ids[target])
	// From here on the source creates no key in the slot: it is left with none.
	step("its keys", func(ctx context.Context) error { return c.migrateKeys(ctx, slot, source, target) })
	// The target first: were it the source, both would send clients to each
	// other until the target heard of it.
	setSlot(target, "NODE", ids[target])
	setSlot(source, "NODE", ids[target])
	for _, n := range masters[1:] {
		setSlot(n, "NODE", ids[target])
	}
	step("agreement", func(ctx context.Context) error {
		owner, err := c.agreedOwner(ctx, slot)
		if err == nil && owner != target {
			err = fmt.Errorf("%s serves it", owner.Addr())
		}
		return err
	})
	return target
}

// mastersAfter returns the other masters that run, from the one that follows
// source in the order of the nodes.
func (c *Cluster) mastersAfter(source *Redis) []*Redis {
	c.tb.Helper()
	at := slices.Index(c.nodes, source)
	var masters []*Redis
	c.await("another master than "+source.Addr(), func(ctx context.Context) error {
		masters = nil
		for _, n := range slices.Concat(c.nodes[at+1:], c.nodes[:at]) {
			// A master without slots is one that has just been replaced.
			role, err := c.most(ctx, func(v clusterView) string {
				if m := v.at(n.Addr()); m.is("master") && len(m.slots) > 0 {
					return "master"
				}
				return "none"
			})
			if err != nil {
				return err
			}
			if role == "master" && n.lives() {
				masters = append(masters, n)
			}
		}
		if len(masters) == 0 {
			return errors.New("there is none that runs")
		}
		return nil
	})
	return masters
}

// migrateKeys moves all keys of the slot.
func (c *Cluster) migrateKeys(ctx context.Context, slot int, source, target *Redis) error {
	for {
		keys, err := c.admin[source].ClusterGetKeysInSlot(ctx, slot, migrateBatch).Result()
		if err != nil || len(keys) == 0 {
			return err
		}
		// REPLACE, for a batch of which the reply was lost: as long as the
		// source has a key it is the source that serves it, so its value is
		// the newer one.
		args := []any{"MIGRATE", "127.0.0.1", target.port, "", 0, askTimeout.Milliseconds(), "REPLACE"}
		switch l := target.login(); {
		case l.user != "":
			args = append(args, "AUTH2", l.user, l.password)
		case l.password != "":
			args = append(args, "AUTH", l.password)
		}
		args = append(args, "KEYS")
		for _, k := range keys {
			args = append(args, k)
		}
		if err := c.admin[source].Do(ctx, args...).Err(); err != nil {
			return err
		}
	}
}
