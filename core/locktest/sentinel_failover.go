package locktest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// AwaitMaster waits until all sentinels name a master other than not, which may
// be nil, and it is one, and returns it. It is for the time after not.Kill() or
// not.Stop().
func (s *Sentinel) AwaitMaster(not *Redis) *Redis {
	s.tb.Helper()
	var master *Redis
	what := "a master"
	if not != nil {
		what += " other than " + not.Addr()
	}
	s.await(what, func(ctx context.Context) (err error) {
		master, err = s.agreedMaster(ctx)
		if err == nil && master == not {
			err = errors.New("it is as it was")
		}
		return err
	})
	return master
}

// Failover makes a replica the master (SENTINEL FAILOVER), and returns it when
// all sentinels have done with it. What the old master is told until it has
// become a replica, two or three seconds later, is lost. The next failover
// waits for that: else a sentinel which has not noticed that it was a replica in
// between would undo its promotion.
func (s *Sentinel) Failover() *Redis {
	s.tb.Helper()
	old := s.AwaitMaster(nil)
	s.await("all servers to replicate "+old.Addr(), func(ctx context.Context) error {
		return errors.Join(s.replicating(ctx, old), s.watching(ctx, true))
	})
	var master *Redis
	s.await("a manual failover of "+old.Addr(), func(ctx context.Context) (err error) {
		if master, err = s.agreedMaster(ctx); err != nil {
			return err
		}
		if err = s.watching(ctx, false); err != nil || master != old {
			return err
		}
		// It is refused while the last one is not over (INPROG), or as long
		// as no replica has been heard of lately (NOGOODSLAVE).
		if err = s.watch[s.sentinels[0]].Failover(ctx, sentinelMaster).Err(); err == nil {
			err = errors.New("a sentinel was asked for it")
		}
		return err
	})
	return master
}

// AwaitHealthy waits until all servers run and replicate the master, and all
// sentinels know them and each other. It is for the time after a Restart: a
// master that was replaced while it was away has then become a replica.
func (s *Sentinel) AwaitHealthy() {
	s.tb.Helper()
	s.await("healthy servers and sentinels", func(ctx context.Context) error {
		for _, r := range s.servers {
			if !r.lives() {
				return fmt.Errorf("server %s does not run", r.Addr())
			}
		}
		master, err := s.agreedMaster(ctx)
		if err != nil {
			return err
		}
		return errors.Join(s.replicating(ctx, master), s.watching(ctx, true))
	})
}

// agreedMaster returns the server that all sentinels name, and which is a
// master.
func (s *Sentinel) agreedMaster(ctx context.Context) (*Redis, error) {
	said, err := s.said(ctx)
	if err != nil {
		return nil, err
	}
	for r, n := range said {
		if n < len(s.sentinels) {
			return nil, errors.New("the sentinels name different masters")
		}
		if !r.lives() {
			return nil, fmt.Errorf("%s does not run", r.Addr())
		}
		info, err := replication(ctx, s.admin[r])
		if err != nil {
			return nil, err
		}
		if info["role"] != "master" {
			return nil, fmt.Errorf("%s is a %s", r.Addr(), info["role"])
		}
		return r, nil
	}
	return nil, errors.New("no sentinel names a master")
}

// watching returns nil if to no sentinel the master is down or being replaced;
// with all, if each also knows the other sentinels and has seen all replicas
// that run replicate it.
func (s *Sentinel) watching(ctx context.Context, all bool) error {
	for _, r := range s.sentinels {
		m, err := s.watch[r].Master(ctx, sentinelMaster).Result()
		if err != nil {
			return fmt.Errorf("sentinel %s: %w", r.Addr(), err)
		}
		if m["flags"] != "master" {
			return fmt.Errorf("to sentinel %s, the master is %s", r.Addr(), m["flags"])
		}
		if !all {
			continue
		}
		if m["num-slaves"] != strconv.Itoa(len(s.servers)-1) || m["num-other-sentinels"] != strconv.Itoa(len(s.sentinels)-1) {
			return fmt.Errorf("sentinel %s knows %s replicas and %s other sentinels", r.Addr(), m["num-slaves"], m["num-other-sentinels"])
		}
		replicas, err := s.watch[r].Replicas(ctx, sentinelMaster).Result()
		if err != nil {
			return fmt.Errorf("sentinel %s: %w", r.Addr(), err)
		}
		for _, replica := range replicas {
			if server := s.server(replica["name"]); server != nil && !server.lives() {
				continue
			}
			role, link, port := replica["role-reported"], replica["master-link-status"], replica["master-port"]
			if replica["flags"] != "slave" || role != "slave" || link != "ok" || port != m["port"] {
				return fmt.Errorf("to sentinel %s, %s is %s and says it is a %s with link %s to port %s",
					r.Addr(), replica["name"], replica["flags"], role, link, port)
			}
		}
	}
	return nil
}

// replicating returns nil if every other server that runs replicates master.
func (s *Sentinel) replicating(ctx context.Context, master *Redis) error {
	for _, r := range s.servers {
		if r == master || !r.lives() {
			continue
		}
		if err := replicates(ctx, s.admin[r], master); err != nil {
			return err
		}
	}
	return nil
}
