package idgen

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/locktest"
)

func checkNoDuplicates(t *testing.T, rdb redis.UniversalClient) {
	t.Helper()
	const processes, each = 4, 20_000
	ids := make([][]ID, processes)
	var wg sync.WaitGroup
	for p := range ids {
		q := newDaily(t, rdb)
		wg.Go(func() {
			for range each {
				id, err := q.Next(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				ids[p] = append(ids[p], id)
			}
		})
	}
	wg.Wait()
	all := slices.Concat(ids...)
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != processes*each {
		t.Errorf("%d different IDs out of %d", n, processes*each)
	}
}

func TestDailySequenceOnARealServer(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: locktest.StartRedis(t).Addr()})
	t.Cleanup(func() { rdb.Close() })
	checkNoDuplicates(t, rdb)
	for _, key := range rdb.Keys(t.Context(), "*").Val() {
		if ttl := rdb.TTL(t.Context(), key).Val(); ttl < 7*24*time.Hour || ttl > 11*24*time.Hour {
			t.Errorf("%s expires in %v", key, ttl)
		}
	}
}

func TestDailySequenceOnAClusterClient(t *testing.T) {
	addr := locktest.StartRedis(t, "--cluster-enabled", "yes").Addr()
	node := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { node.Close() })
	if err := node.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{addr}})
	t.Cleanup(func() { rdb.Close() })
	for start := time.Now(); ; { // the node looks at its own state ten times a second
		if err := rdb.Get(t.Context(), "any").Err(); err == redis.Nil {
			break
		} else if time.Since(start) > 20*time.Second {
			t.Fatal(err)
		}
	}
	checkNoDuplicates(t, rdb)
}

func TestDailySequenceNeedsNoMoreThanTheDocumentedCommands(t *testing.T) {
	addr := locktest.StartRedis(t).Addr()
	admin := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { admin.Close() })
	rules := []any{"ACL", "SETUSER", "ids", "on", ">secret", "~latchkey:daily:{*", "-@all",
		"+incrby", "+expireat", "+time", "+set", "+get", "+hello", "+auth"}
	if err := admin.Do(t.Context(), rules...).Err(); err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: addr, Username: "ids", Password: "secret"})
	t.Cleanup(func() { rdb.Close() })
	checkNoDuplicates(t, rdb)
	if err := rdb.Set(context.Background(), "other", "1", 0).Err(); err == nil {
		t.Error("the restricted user is not restricted: the test shows nothing")
	}
}
