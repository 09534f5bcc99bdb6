package core

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// anyClient returns a client that is never used.
func anyClient(t *testing.T) *redis.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func TestNewRefusesClientsThatItCannotBeSafeOn(t *testing.T) {
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:6379"}, HeartbeatFrequency: time.Hour})
	pipeliner, err := anyClient(t).AutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ring.Close()
		pipeliner.Close()
	})
	for name, rdb := range map[string]redis.UniversalClient{
		"nil":                   nil,
		"a nil *Client":         (*redis.Client)(nil),
		"a nil *Ring":           (*redis.Ring)(nil),
		"a nil *ClusterClient":  (*redis.ClusterClient)(nil),
		"a nil *AutoPipeliner":  (*redis.AutoPipeliner)(nil),
		"a Ring":                ring,
		"an AutoPipeliner":      pipeliner,
		"a UniversalClient nil": redis.UniversalClient(nil),
	} {
		t.Run(name, func(t *testing.T) {
			l, err := New(rdb)
			if l != nil || !errors.Is(err, ErrUnsupportedClient) || errors.Is(err, ErrOption) {
				t.Errorf("%v, %v, want ErrUnsupportedClient", l, err)
			}
		})
	}
}

func TestNewTakesAClientOfOneServerOrOfSentinelsOrOfACluster(t *testing.T) {
	sentinel := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"127.0.0.1:26379"}})
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:6379"}})
	universal := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{"127.0.0.1:1", "127.0.0.1:2"}})
	t.Cleanup(func() { sentinel.Close(); cluster.Close(); universal.Close() })
	for name, rdb := range map[string]redis.UniversalClient{
		"one server": anyClient(t), "sentinels": sentinel, "a cluster": cluster, "a universal client of a cluster": universal,
	} {
		l, err := New(rdb)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := l.Close(); err != nil {
			t.Errorf("%s: Close: %v", name, err)
		}
	}
}

func TestNewListsEverythingThatIsWrong(t *testing.T) {
	l, err := New(nil, Prefix(""), nil, TTL(0), Wait(-1), WithObserver(nil), MaxWaiters(-1), MaxHold(-1))
	if l != nil || !errors.Is(err, ErrOption) || !errors.Is(err, ErrUnsupportedClient) {
		t.Fatalf("%v, %v", l, err)
	}
	if n := leaves(err); n != 6 {
		t.Errorf("%d faults, want 6: %v", n, err)
	}
}

func TestRulesOfThePrefix(t *testing.T) {
	for prefix, ok := range map[string]bool{
		"latchkey":              true,
		"shop:eu-1":             true,
		"läden":                 true,
		" ":                     true,
		strings.Repeat("x", 64): true,
		"":                      false,
		strings.Repeat("x", 65): false,
		strings.Repeat("ä", 33): false, // bytes count
		"a{b":                   false,
		"a}b":                   false,
		"{tag}":                 false, // would choose the slot of a cluster
		"a\nb":                  false, // would end a line of a message
	} {
		l, err := New(anyClient(t), Prefix(prefix))
		if (err == nil) != ok || err != nil && !errors.Is(err, ErrOption) {
			t.Errorf("%q: %v", prefix, err)
		}
		if l != nil {
			if l.Namespace() != prefix {
				t.Errorf("namespace %q, want %q", l.Namespace(), prefix)
			}
			l.Close()
		}
	}
}

func TestLockersWithDifferentPrefixesDoNotSeeEachOthersLocks(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		eu, _ := b.locker(Prefix("eu"))
		us, _ := b.locker(Prefix("us"))
		standard, _ := b.locker()
		for _, l := range []*RedisLocker{eu, us, standard} {
			k, err := l.TryAcquire(t.Context(), "k")
			if err != nil {
				t.Fatalf("%s: %v", l.Namespace(), err)
			}
			defer k.Release(t.Context())
		}
		for _, name := range b.srv.Keys() {
			if !strings.HasPrefix(name, "eu:{") && !strings.HasPrefix(name, "us:{") && !strings.HasPrefix(name, "latchkey:{") {
				t.Errorf("%q has none of the prefixes", name)
			}
		}
	})
}

func TestBadUseLeavesNoTrace(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	cases := map[string]struct {
		ctx  context.Context
		key  string
		opts []AcquireOption
		want error
	}{
		"no key":               {nil, "", nil, ErrKey},
		"a key too long":       {nil, strings.Repeat("k", MaxKeyLen+1), nil, ErrKey},
		"an option":            {nil, "k", []AcquireOption{TTL(0)}, ErrOption},
		"options":              {nil, "k", []AcquireOption{Wait(-1), MaxWaiters(-1)}, ErrOption},
		"a context that ended": {ended, "k", nil, context.Canceled},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker()
				ctx := t.Context()
				if c.ctx != nil {
					ctx = c.ctx
				}
				for range 2 {
					k, err := l.Acquire(ctx, c.key, c.opts...)
					ae, ok := errors.AsType[*AcquireError](err)
					if k != nil || !ok || !errors.Is(err, c.want) || ae.Key != c.key || ae.Info.Waited != 0 {
						t.Errorf("%v, %v", k, err)
					}
				}
				elapse(time.Minute)
				if n := len(p.seen); n != 0 || len(b.srv.Keys()) != 0 {
					t.Errorf("%d operations, keys %q", n, b.srv.Keys())
				}
				if n := l.machine.Size(); n != 0 {
					t.Errorf("%d things of it are left in the Locker", n)
				}
			})
		})
	}
	t.Run("a self-deadlock", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bubble) {
			l, p := b.locker()
			k := get(t, l, "k")
			if _, err := l.Acquire(k.Context(), "k"); !errors.Is(err, ErrSelfDeadlock) {
				t.Error(err)
			}
			free(t, k)
			if len(p.seen) != 2 {
				t.Errorf("%d operations, want those of the one lock", len(p.seen))
			}
		})
	})
}

func TestTheLongestKeyIsTaken(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker(Prefix(strings.Repeat("x", 64)))
		for _, key := range []string{strings.Repeat("k", MaxKeyLen), "{a}", "a\nb\x00c", "\xff"} {
			k := get(t, l, key)
			if k.Key() != key || b.lease(key) == "" {
				t.Errorf("%q: key %q, lease %q", key, k.Key(), b.lease(key))
			}
			free(t, k)
		}
	})
}
