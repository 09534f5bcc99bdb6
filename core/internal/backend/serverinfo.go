package backend

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// serverInfo is what INFO says about a server, by the fields' names.
type serverInfo map[string]string

// parseInfo reads the reply to INFO: lines of name:value, under headings.
// https://redis.io/docs/latest/commands/info/
func parseInfo(text string) serverInfo {
	info := serverInfo{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			info[name] = value
		}
	}
	return info
}

// minMajor is the oldest version of Redis that has all that is needed: SET with
// NX and GET together, sharded pub/sub.
const minMajor = 7

// version returns the version of Redis that the server is, or is like: Valkey
// reports the Redis that it is compatible with, and its own beside it. It is old
// if that is too old; "" if the server does not say, as some imitations.
func (i serverInfo) version() (version string, old bool) {
	version = i["redis_version"]
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	return version, err == nil && n < minMajor
}

// evicts returns the policy by which the server may evict a lease: none of those
// but noeviction spares it, because it has an expiry. Without a limit of memory
// no policy evicts anything.
func (i serverInfo) evicts() (policy string, may bool) {
	policy = i["maxmemory_policy"]
	limit, err := strconv.ParseUint(i["maxmemory"], 10, 64)
	return policy, err == nil && limit > 0 && policy != "" && policy != "noeviction"
}

// replica tells whether the server is one, and of whom.
func (i serverInfo) replica() (master string, is bool) {
	switch i["role"] {
	case "slave", "replica":
		return i["master_host"] + ":" + i["master_port"], true
	}
	return "", false
}

// cluster tells whether the server is in cluster mode.
func (i serverInfo) cluster() bool { return i["cluster_enabled"] == "1" }

func (s *server) askInfo(ctx context.Context) error {
	text, err := s.rdb.Info(ctx).Result() // without sections: only Redis 7 takes several
	if err != nil {
		if err := outage(err); err != nil {
			return err
		}
		f := Fault{
			Kind:    FaultUnchecked,
			Problem: fmt.Sprintf("INFO is refused, so its version, its role, its maxmemory-policy and cluster mode could not be checked (%v)", err),
			Effect:  "locks do not need it, but an evicting policy would let a second holder in, unnoticed",
			Remedy:  remedyFor(err),
			Err:     err,
		}
		if denied(err) {
			f.Rights, f.Remedy = []string{"+info"}, s.aclLine("+info")
		}
		s.found(f)
		return nil
	}
	info := parseInfo(text)
	if version, old := info.version(); old {
		s.found(Fault{
			Kind:    FaultVersion,
			Problem: fmt.Sprintf("it needs Redis %d.0 or newer, and is %s", minMajor, version),
			Effect:  "every Acquire would fail with ErrBackend: SET does not take NX and GET together",
			Remedy:  "upgrade the server",
		})
	}
	if policy, may := info.evicts(); may {
		s.found(Fault{
			Kind:    FaultEviction,
			Problem: fmt.Sprintf("its maxmemory-policy is %s, with maxmemory %s", policy, info["maxmemory"]),
			Effect:  "when memory is short it may evict a lease (they expire, so volatile policies take them, too), and a second holder is let in",
			Remedy:  "CONFIG SET maxmemory-policy noeviction, and the same in its configuration, or a Redis for the locks alone",
		})
	}
	if master, is := info.replica(); is {
		s.found(Fault{
			Kind:    FaultReplica,
			Problem: "it is a replica of " + master,
			Effect:  "it refuses all writes (READONLY): every Acquire would fail with ErrBackend",
			Remedy:  "give the client the master's address, or use redis.NewFailoverClient, which asks Sentinels for it",
		})
	}
	if has, err := strconv.Atoi(info["connected_slaves"]); err == nil && has < s.ack.Replicas && !s.has(FaultReplica) {
		s.found(Fault{
			Kind:    FaultReplicas,
			Problem: fmt.Sprintf("it has %d replicas, and ReplicaAck wants the acknowledgement of %d", has, s.ack.Replicas),
			Effect:  "every Acquire would fail with ErrBackend",
			Remedy:  "connect replicas, or give ReplicaAck no more than there are",
		})
	}
	if info.cluster() && !s.cluster {
		s.foundCluster("it is a server of a cluster (cluster_enabled:1), and the client is not one of a cluster")
	}
	return nil
}

func (s *server) foundCluster(problem string) {
	s.found(Fault{
		Kind:    FaultCluster,
		Problem: problem,
		Effect:  "every lock that is in another server's slots would fail with ErrBackend (MOVED)",
		Remedy:  "use redis.NewClusterClient, or a server that is not in cluster mode",
	})
}
