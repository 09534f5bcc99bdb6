package locktest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	sentinelMaster = "latchkey"
	sentinels      = 3
	sentinelQuorum = 2
)

// Sentinel is a master and replicas of a test's own that Redis Sentinel
// watches: redis-server processes on 127.0.0.1, of which the servers can be
// stopped, killed and restarted (see [Redis]).
//
// Client, Servers, SentinelAddrs, MasterName and Master are safe for concurrent
// use. Failover, AwaitMaster and AwaitHealthy are the steps of one story, as
// are the servers' Stop, Continue, Kill and Restart: call them from one
// goroutine. A wait that takes too long fails the test and shows how the
// sentinels and the servers see themselves.
type Sentinel struct {
	tb        testing.TB
	servers   []*Redis
	sentinels []*Redis
	admin     map[*Redis]*redis.Client
	watch     map[*Redis]*redis.SentinelClient
}

// StartSentinel starts a master with that many replicas, at least one, and
// three sentinels that watch it under the name "latchkey" with a quorum of two.
// It returns when the replicas replicate and the sentinels know them and each
// other.
//
// A server counts as down after 750 ms without an answer; about a second later
// a replica is the master. A server keeps its role over a Restart until the
// sentinels change it: a master that was replaced while it was away takes
// commands again for two or three seconds, and then becomes a replica and loses
// what it was told. That is how Sentinel works.
//
// The extra arguments are settings of each server, not of the sentinels, that
// come last and win. With a password among them (see [StartRedis]), the sentinels and
// the replicas log in with it, the latter unless there is a --masterauth; its user
// must have all rights. The processes are killed when the test is over, or with
// the test process; without a redis-server it is as with [StartRedis].
func StartSentinel(tb testing.TB, replicas int, extraArgs ...string) *Sentinel {
	tb.Helper()
	if replicas < 1 {
		tb.Fatalf("locktest: sentinels of a master with %d replicas", replicas)
	}
	bin := lookUpRedis(tb)
	s := &Sentinel{tb: tb, admin: make(map[*Redis]*redis.Client), watch: make(map[*Redis]*redis.SentinelClient)}
	for range 1 + replicas {
		r := newRedis(tb, bin, append([]string{"--repl-diskless-sync-delay", "0"}, extraArgs...))
		r.conf = filepath.Join(r.dir, "redis.conf")
		s.servers = append(s.servers, r)
	}
	for range sentinels {
		r := newRedis(tb, bin, nil)
		r.mode, r.conf = sentinelMode, filepath.Join(r.dir, "sentinel.conf")
		s.sentinels = append(s.sentinels, r)
	}
	s.open()
	for _, r := range s.servers {
		s.admin[r] = r.Client(adminOptions())
	}
	for _, r := range s.sentinels {
		s.watch[r] = r.sentinelClient()
		s.hasten(r)
	}
	s.AwaitHealthy()
	return s
}

// open starts the master, and then all others.
func (s *Sentinel) open() {
	s.tb.Helper()
	master := s.servers[0]
	// The servers' roles are in their files, where the sentinels change them
	// (CONFIG REWRITE).
	err := os.WriteFile(master.conf, nil, 0o600)
	if err == nil {
		err = master.open()
	}
	if err != nil {
		s.tb.Fatalf("locktest: %v", err)
	}
	as := master.login()
	if err := master.replicateAs(s.tb.Context(), master.Client(adminOptions()), as); err != nil {
		s.tb.Fatalf("locktest: server %s: %v", master.Addr(), err)
	}
	err = inParallel(slices.Concat(s.servers[1:], s.sentinels), func(r *Redis) error {
		text := fmt.Sprintf("replicaof 127.0.0.1 %d\n", master.port)
		if r.mode == sentinelMode {
			text = strings.Join([]string{
				fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d", sentinelMaster, master.port, sentinelQuorum),
				fmt.Sprintf("sentinel down-after-milliseconds %s 750", sentinelMaster),
				// Each step of a failover may take as long, and the next one
				// waits for twice as long if it fails. A step waits for an
				// INFO, of which there is one a second.
				fmt.Sprintf("sentinel failover-timeout %s 2000", sentinelMaster),
				fmt.Sprintf("sentinel parallel-syncs %s %d", sentinelMaster, len(s.servers)),
			}, "\n") + "\n" + as.ofSentinel()
		} else {
			r.args = slices.Concat(as.asReplica(r.args), r.args)
		}
		if err := os.WriteFile(r.conf, []byte(text), 0o600); err != nil {
			return err
		}
		return r.open()
	})
	if err != nil {
		s.tb.Fatalf("locktest: %v", err)
	}
}

// hasten shortens the periods of a sentinel, which are made for networks: how
// often it reconnects, asks for INFO, tells the others of itself and asks
// whether they agree that a master is down. With the defaults an old master is
// made a replica after some ten seconds. A sentinel that was delayed for two seconds
// by a busy machine trusts nobody for thirty; here for one.
//
// What is not shorter has to do with the one period that is fixed: during a
// failover, replicas are asked for INFO once a second. A replica that has been
// silent for five PING-PERIODs is not elected. And a replica that has called
// itself a master for four PUBLISH-PERIODs is made a replica again: also the
// promoted one, by the sentinels that have not yet heard of its promotion.
func (s *Sentinel) hasten(r *Redis) {
	s.tb.Helper()
	err := r.Client(adminOptions()).Do(s.tb.Context(), "SENTINEL", "DEBUG",
		"PING-PERIOD", 500, "INFO-PERIOD", 300, "PUBLISH-PERIOD", 500, "ASK-PERIOD", 100, "TILT-PERIOD", 1000).Err()
	if err != nil {
		s.tb.Fatalf("locktest: sentinel on port %d: %v", r.port, err)
	}
}

func (r *Redis) sentinelClient() *redis.SentinelClient {
	o := adminOptions()
	o.Addr, o.ReadTimeout = r.Addr(), askTimeout
	rdb := redis.NewSentinelClient(o)
	r.tb.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// Client returns a client of whichever server is the master, which it learns
// from the sentinels. It is closed when the test is over. opts may be nil; its
// MasterName and SentinelAddrs, if empty, are set, and so is its login to the servers,
// if it has none and they ask for one.
func (s *Sentinel) Client(opts *redis.FailoverOptions) *redis.Client {
	var o redis.FailoverOptions
	if opts != nil {
		o = *opts
	}
	if o.MasterName == "" {
		o.MasterName = sentinelMaster
	}
	if len(o.SentinelAddrs) == 0 {
		o.SentinelAddrs = s.SentinelAddrs()
	}
	s.servers[0].login().into(&o.Username, &o.Password, o.CredentialsProvider != nil ||
		o.CredentialsProviderContext != nil || o.StreamingCredentialsProvider != nil)
	rdb := redis.NewFailoverClient(&o)
	s.tb.Cleanup(func() { _ = rdb.Close() }) // ErrClosed if the test closed it
	return rdb
}

// Servers returns the master and the replicas, also those that do not run, in
// the order in which they were started: the first master first.
func (s *Sentinel) Servers() []*Redis { return slices.Clone(s.servers) }

// SentinelAddrs returns host:port of each sentinel.
func (s *Sentinel) SentinelAddrs() []string {
	var addrs []string
	for _, r := range s.sentinels {
		addrs = append(addrs, r.Addr())
	}
	return addrs
}

// MasterName returns the name under which the sentinels know the master.
func (s *Sentinel) MasterName() string { return sentinelMaster }

// Master returns the server that is the master, as most sentinels say. Just
// after a Kill that may still be the one that was killed: see
// [Sentinel.AwaitMaster].
func (s *Sentinel) Master() *Redis {
	s.tb.Helper()
	var master *Redis
	s.await("a majority on who the master is", func(ctx context.Context) error {
		said, err := s.said(ctx)
		if err != nil {
			return err
		}
		for r, n := range said {
			if n > sentinels/2 {
				master = r
				return nil
			}
		}
		return fmt.Errorf("they name %d", len(said))
	})
	return master
}

// said returns how many sentinels say of whom that it is the master.
func (s *Sentinel) said(ctx context.Context) (map[*Redis]int, error) {
	said := make(map[*Redis]int)
	for _, r := range s.sentinels {
		addr, err := s.watch[r].GetMasterAddrByName(ctx, sentinelMaster).Result()
		if err != nil {
			return nil, fmt.Errorf("sentinel %s: %w", r.Addr(), err)
		}
		server := s.server(net.JoinHostPort(addr[0], addr[1]))
		if server == nil {
			return nil, fmt.Errorf("sentinel %s names a stranger, %v", r.Addr(), addr)
		}
		said[server]++
	}
	return said, nil
}

// server returns the server with that address, or nil.
func (s *Sentinel) server(addr string) *Redis {
	for _, r := range s.servers {
		if r.Addr() == addr {
			return r
		}
	}
	return nil
}

func (s *Sentinel) await(what string, try func(context.Context) error) {
	s.tb.Helper()
	await(s.tb, what, s.show, try)
}

// show tells how everybody sees the roles, for a failure.
func (s *Sentinel) show() string {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	var b strings.Builder
	for _, r := range s.sentinels {
		m, err := s.watch[r].Master(ctx, sentinelMaster).Result()
		fmt.Fprintf(&b, "to sentinel %s: %v %v\n", r.Addr(), m, err)
		replicas, err := s.watch[r].Replicas(ctx, sentinelMaster).Result()
		fmt.Fprintf(&b, "\treplicas: %v %v\n", replicas, err)
	}
	for _, r := range s.servers {
		if !r.lives() {
			fmt.Fprintf(&b, "server %s does not run\n", r.Addr())
			continue
		}
		info, err := replication(ctx, s.admin[r])
		fmt.Fprintf(&b, "server %s: %v %v\n", r.Addr(), info, err)
	}
	return b.String()
}
