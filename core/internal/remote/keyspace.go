package remote

import "hash/fnv"

// buckets is a constant of the wire format: every lock key is in one of 256
// buckets, and all that an operation on it touches carries the bucket's tag
// (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags),
// so that it is in one slot of a cluster. The tag stands before any user data:
// braces in a key mean nothing.
const buckets = 256

// Keyspace makes the names of what a lock has in Redis.
type Keyspace struct{ prefix string }

// names are the Redis keys of one lock key, as the scripts want them.
type names struct{ lease, queue, fence string }

const hexDigits = "0123456789abcdef"

func (k Keyspace) names(key string) names {
	h := fnv.New32a()
	h.Write([]byte(key))
	sum := h.Sum32()
	b := byte(sum>>24) ^ byte(sum>>16) ^ byte(sum>>8) ^ byte(sum)
	base := k.prefix + ":{" + string(hexDigits[b>>4]) + string(hexDigits[b&15]) + "}:"
	return names{lease: base + "l:" + key, queue: base + "q:" + key, fence: base + "fence"}
}

// key is the inverse of names: the lock key of a lease's name.
func (k Keyspace) key(lease string) (string, bool) {
	const tag = len(":{00}:l:")
	if len(lease) <= len(k.prefix)+tag {
		return "", false
	}
	key := lease[len(k.prefix)+tag:]
	return key, k.names(key).lease == lease
}

// channel is where process p hears of grants and of others that wait.
func (k Keyspace) channel(p Process) string { return k.prefix + ":w:" + string(p) }
