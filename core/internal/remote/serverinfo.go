package remote

import (
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
