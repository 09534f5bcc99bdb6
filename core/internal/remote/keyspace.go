package remote

import "hash/fnv"

// buckets is a constant of the wire format: every lock key is in one of 256
// buckets, and all that an operation on it touches carries the bucket's tag
// (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags),
// so that it is in one slot of a cluster. The tag stands before any user data:
// braces in a key mean nothing.
const buckets = 256

// Keyspace makes the names of what a lock has in Redis.
type Keyspace struct {
	prefix string
	bases  [buckets]base
}

// base is what the names in one bucket start with, and the one that all its keys
// share.
type base struct{ lease, queue, fence string }

// Names are the Redis keys of one lock key, as the scripts want them.
type Names struct{ lease, queue, fence string }

const hexDigits = "0123456789abcdef"

func newKeyspace(prefix string) *Keyspace {
	k := &Keyspace{prefix: prefix}
	for i := range k.bases {
		tagged := prefix + ":{" + hexDigits[i>>4:i>>4+1] + hexDigits[i&15:i&15+1] + "}:"
		k.bases[i] = base{tagged + "l:", tagged + "q:", tagged + "fence"}
	}
	return k
}

// Names returns what key is called in Redis.
func (k *Keyspace) Names(key string) Names {
	b := &k.bases[bucket(key)]
	return Names{lease: b.lease + key, queue: b.queue + key, fence: b.fence}
}

// bucket is FNV-1a, 32 bits, folded.
func bucket(key string) byte {
	h := fnv.New32a()
	h.Write([]byte(key))
	sum := h.Sum32()
	return byte(sum>>24) ^ byte(sum>>16) ^ byte(sum>>8) ^ byte(sum)
}

// key is the inverse of Names: the lock key of a lease's name.
func (k *Keyspace) key(lease string) (string, bool) {
	const tag = len(":{00}:l:")
	if len(lease) <= len(k.prefix)+tag {
		return "", false
	}
	key := lease[len(k.prefix)+tag:]
	return key, k.Names(key).lease == lease
}

// channel is where process p hears of grants and of others that wait.
func (k *Keyspace) channel(p Process) string { return k.prefix + ":w:" + string(p) }
