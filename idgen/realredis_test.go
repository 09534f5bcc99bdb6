package idgen

import (
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/locktest"
)

// checkNoDuplicates has four generators used by three goroutines each.
func checkNoDuplicates(t *testing.T, newGenerator func() Generator[ID]) {
	t.Helper()
	const processes, goroutines, each = 4, 3, 7_000
	ids := make([][]ID, processes*goroutines)
	var wg sync.WaitGroup
	for p := range processes {
		q := newGenerator()
		for g := range goroutines {
			wg.Go(func() {
				own := make([]ID, each)
				for i := range own {
					var err error
					if own[i], err = q.Next(t.Context()); err != nil {
						t.Error(err)
						return
					}
				}
				ids[p*goroutines+g] = own
			})
		}
	}
	wg.Wait()
	all := slices.Concat(ids...)
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != len(ids)*each {
		t.Errorf("%d different IDs out of %d", n, len(ids)*each)
	}
}

func dailies(t *testing.T, rdb redis.UniversalClient) func() Generator[ID] {
	return func() Generator[ID] { return newDaily(t, rdb) }
}

func sequences(t *testing.T, rdb redis.UniversalClient) func() Generator[ID] {
	return func() Generator[ID] { return newSequence(t, rdb) }
}

func snowflakes(t *testing.T, rdb redis.UniversalClient) func() Generator[ID] {
	return func() Generator[ID] { return newSnowflake(t, rdb, Skew(20*time.Millisecond)) }
}

func TestGeneratorsOnARealServer(t *testing.T) {
	rdb := locktest.StartRedis(t).Client(nil)
	checkNoDuplicates(t, dailies(t, rdb))
	for _, key := range rdb.Keys(t.Context(), "*").Val() {
		if ttl := rdb.TTL(t.Context(), key).Val(); ttl < 7*24*time.Hour || ttl > 11*24*time.Hour {
			t.Errorf("%s expires in %v", key, ttl)
		}
	}
	checkNoDuplicates(t, sequences(t, rdb))
	if ttl := rdb.TTL(t.Context(), ordersKey).Val(); ttl != -1 {
		t.Errorf("%s expires in %v, want never", ordersKey, ttl)
	}
	checkNoDuplicates(t, snowflakes(t, rdb))
}

func TestGeneratorsOnAClusterClient(t *testing.T) {
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
	checkNoDuplicates(t, dailies(t, rdb))
	checkNoDuplicates(t, sequences(t, rdb))
	checkNoDuplicates(t, snowflakes(t, rdb))
}

func TestGeneratorsNeedNoMoreThanTheDocumentedRights(t *testing.T) {
	r := locktest.StartRedis(t)
	admin := r.Client(nil)
	for kind, c := range map[string]struct {
		rights []any
		use    func(*testing.T, redis.UniversalClient) func() Generator[ID]
		check  func(*testing.T, redis.UniversalClient) error
	}{
		"daily": {
			[]any{"+incrby", "+expireat", "+time", "+set", "+get"}, dailies,
			func(t *testing.T, rdb redis.UniversalClient) error { return newDaily(t, rdb).Check(t.Context()) },
		},
		"sequence": {
			[]any{"+incrby"}, sequences,
			func(t *testing.T, rdb redis.UniversalClient) error { return newSequence(t, rdb).Check(t.Context()) },
		},
		"snowflake": {
			[]any{"+eval", "+evalsha", "+time", "+hget", "+hgetall", "+hset"}, snowflakes,
			func(t *testing.T, rdb redis.UniversalClient) error {
				return newSnowflake(t, rdb, Skew(20*time.Millisecond)).Check(t.Context())
			},
		},
	} {
		t.Run(kind, func(t *testing.T) {
			rules := append([]any{"ACL", "SETUSER", kind, "on", ">secret", "~latchkey:" + kind + ":{*", "-@all", "+hello", "+auth"}, c.rights...)
			if err := admin.Do(t.Context(), rules...).Err(); err != nil {
				t.Fatal(err)
			}
			rdb := r.Client(&redis.Options{Username: kind, Password: "secret"})
			checkNoDuplicates(t, c.use(t, rdb))
			if err := rdb.Incr(t.Context(), "other").Err(); err == nil {
				t.Error("the restricted user is not restricted: the test shows nothing")
			}
			f := onlyFault(t, c.check(t, rdb), FaultUnchecked)
			if !redis.IsPermissionError(f.Err) || !strings.Contains(f.Remedy, "+info") {
				t.Errorf("Check without the right to INFO: %v", f)
			}
			if err := admin.Do(t.Context(), "ACL", "SETUSER", kind, "+info").Err(); err != nil {
				t.Fatal(err)
			}
			if err := c.check(t, rdb); err != nil {
				t.Errorf("Check with the right to INFO: %v", err)
			}
		})
	}
}

func TestASequenceIsUsedUpAfterTheLargestNumberOfRedis(t *testing.T) {
	rdb := locktest.StartRedis(t).Client(nil)
	rdb.Set(t.Context(), ordersKey, math.MaxInt64-250, 0)
	a := newSequence(t, rdb, Segment(100, 100))
	b := newSequence(t, rdb, Segment(100, 100))
	mustNumber(t, b)
	var ids []ID
	for _, q := range []*Sequence{a, b} {
		batch := make([]ID, 1000)
		n, err := q.NextN(t.Context(), batch)
		if !errors.Is(err, ErrSequenceExhausted) {
			t.Errorf("NextN = %d, %v; want ErrSequenceExhausted", n, err)
		}
		ids = append(ids, batch[:n]...)
		if id, err := q.Next(t.Context()); !errors.Is(err, ErrSequenceExhausted) || id != 0 {
			t.Errorf("the error must stay, got %d, %v", id, err)
		}
	}
	slices.Sort(ids)
	if n := len(slices.Compact(ids)); n != 249 || ids[n-1] != math.MaxInt64 {
		t.Errorf("%d numbers up to %d, want all of the 250 but the first, which was taken before", n, ids[n-1])
	}
}

func TestASequenceGoesOnWhereItWasAfterARestartThatKeepsTheData(t *testing.T) {
	r := locktest.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	q := newSequence(t, r.Client(nil), Segment(10, 10))
	last := mustNumber(t, q)
	for range 3 {
		q.settle()
		r.Restart()
		for range 100 {
			id := mustNumber(t, q)
			if id <= last {
				t.Fatalf("%d follows %d", id, last)
			}
			last = id
		}
	}
	if got := mustNumber(t, newSequence(t, r.Client(nil), After(last))); got <= last {
		t.Errorf("another process got %d after %d", got, last)
	}
}

func TestARestartThatLosesTheDataIsNoticed(t *testing.T) {
	r := locktest.StartRedis(t)
	q := newSequence(t, r.Client(nil), Segment(10, 10))
	for range 95 {
		mustNumber(t, q)
	}
	q.settle()
	r.Restart()
	last, err := drain(t, q)
	if !errors.Is(err, ErrSequenceRegressed) {
		t.Fatalf("got %v after %d, want ErrSequenceRegressed", err, last)
	}
	r.Client(nil).Set(t.Context(), ordersKey, 1000, 0)
	if got := mustNumber(t, q); got != 1001 {
		t.Errorf("after the counter was set: %d, want 1001", got)
	}
}
