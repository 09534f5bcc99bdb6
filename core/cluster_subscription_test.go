package core

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/engine"
)

// onOneNode returns a Locker for a cluster of one node, which is no more than a
// miniredis: it has no sharded pub/sub, so that nobody hears.
func (b *bubble) onOneNode(opts ...Option) *RedisLocker {
	b.t.Helper()
	rdb := redis.NewClusterClient(&redis.ClusterOptions{
		ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
			return []redis.ClusterSlot{{End: 16383, Nodes: []redis.ClusterNode{{Addr: "10.0.0.1:6379"}}}}, nil
		},
		Dialer:                   func(context.Context, string, string) (net.Conn, error) { return b.srv.Dial() },
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	l, err := New(rdb, opts...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		l.Close()
		rdb.Close()
		elapse(time.Second) // the client's own look at the cluster
	})
	return l
}

// listening tells whether the subscription for key is open.
func (l *RedisLocker) listening(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.subscriptions[l.backend.SubscriptionOf(l.backend.Names(key))]
	return r != nil && r.Open()
}

func TestEarOfABucketIsShutHalfAMinuteAfterItWasLastNeeded(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l := b.onOneNode(Wait(time.Hour))
		var other string // in another bucket
		for other = "k0"; l.backend.SubscriptionOf(l.backend.Names(other)) == l.backend.SubscriptionOf(l.backend.Names("k")); {
			other += "0"
		}
		first := get(t, l, "k")
		if l.listening("k") {
			t.Error("listening, but nobody waits")
		}
		for range 2 { // and is opened again
			waiter := begin(t.Context(), l, "k")
			elapse(5 * engine.SubscriptionIdle)
			if !l.listening("k") || l.listening(other) {
				t.Fatal("want to listen for those who wait, however long, and for nobody else")
			}
			free(t, first)
			elapse(0)
			if !waiter.done() || waiter.err != nil {
				t.Fatalf("%v", waiter.err)
			}
			first = waiter.lock
			elapse(engine.SubscriptionIdle - time.Second)
			if !l.listening("k") {
				t.Error("shut at once")
			}
			elapse(engine.SubscriptionIdle + 2*time.Second)
			if l.listening("k") {
				t.Error("still listening a minute later")
			}
		}
		free(t, first)
	})
}

func TestEarThatIsUsedAgainAndAgainIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l := b.onOneNode(Wait(time.Hour))
		for i := range 20 {
			first := get(t, l, "k")
			waiter := begin(t.Context(), l, "k")
			elapse(time.Second)
			free(t, first)
			elapse(0)
			free(t, waiter.lock)
			for range 2 {
				elapse(engine.SubscriptionIdle/2 - time.Second)
				if !l.listening("k") {
					t.Fatalf("%d: shut, though used again and again", i)
				}
			}
		}
	})
}

func TestOneServerHasOneEarWhichIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker(Wait(time.Hour))
		first := get(t, l, "k")
		waiter := begin(t.Context(), l, "k")
		elapse(time.Second)
		free(t, first)
		elapse(0)
		free(t, waiter.lock)
		elapse(time.Hour)
		if !l.listening("k") || !l.listening("any other") || l.backend.SubscriptionOf(l.backend.Names("any other")) != backend.SubscriptionID(0) {
			t.Error("want one ear for all, and it kept")
		}
	})
}
