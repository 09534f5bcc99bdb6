package backend

import (
	"hash/fnv"
	"strconv"
)

// buckets is a constant of the wire format: every lock key is in one of 256
// buckets, and all that an operation on it touches carries the bucket's tag
// (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags),
// so that it is in one slot of a cluster. The tag stands before any user data:
// braces in a key mean nothing.
const buckets = 256

// Keyspace makes the names of what a lock has in Redis.
type Keyspace struct {
	prefix  string
	cluster bool // each bucket has channels of its own
	bases   [buckets]base
}

// base is what the names in one bucket start with, and the one that all its keys
// share.
type base struct{ lease, queue, fence, channels string }

// Names are the Redis keys of one lock key, as the scripts want them.
type Names struct {
	lease, queue, fence string
	bucket              byte
}

const hexDigits = "0123456789abcdef"

func newKeyspace(prefix string, cluster bool) *Keyspace {
	k := &Keyspace{prefix: prefix, cluster: cluster}
	for i := range k.bases {
		tagged := prefix + ":{" + hexDigits[i>>4:i>>4+1] + hexDigits[i&15:i&15+1] + "}:"
		b := base{tagged + "l:", tagged + "q:", tagged + "fence", prefix + ":w:"}
		if cluster {
			b.channels = tagged + "w:"
		}
		k.bases[i] = b
	}
	return k
}

// Names returns what key is called in Redis.
func (k *Keyspace) Names(key string) Names {
	n := bucket(key)
	b := &k.bases[n]
	both := b.lease + key + b.queue + key // one allocation
	lease := len(b.lease) + len(key)
	return Names{lease: both[:lease], queue: both[lease:], fence: b.fence, bucket: n}
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

// SubscriptionID tells apart the subscriptions of one process: what it hears by one is about
// keys that are on the same server. There is one for all keys, number 0, or on a
// cluster one for each bucket.
type SubscriptionID byte

// subscription is the one that hears about the key of n.
func (k *Keyspace) subscription(n Names) SubscriptionID {
	if k.cluster {
		return SubscriptionID(n.bucket)
	}
	return 0
}

// channel is where process p hears, by subscription e, of grants and of others that wait.
func (k *Keyspace) channel(e SubscriptionID, p Process) string {
	return k.bases[e].channels + string(p)
}

// subscriptionOf is the inverse of channel.
func (k *Keyspace) subscriptionOf(channel string, p Process) (SubscriptionID, bool) {
	if !k.cluster {
		return 0, channel == k.channel(0, p)
	}
	if len(channel) < len(k.prefix)+len(":{00}") {
		return 0, false
	}
	b, err := strconv.ParseUint(channel[len(k.prefix)+2:len(k.prefix)+4], 16, 8)
	return SubscriptionID(b), err == nil && channel == k.channel(SubscriptionID(b), p)
}
