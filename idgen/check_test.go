package idgen

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/locktest"
)

// onlyFault returns the only fault that a Check has found.
func onlyFault(t *testing.T, err error, want FaultKind) Fault {
	t.Helper()
	e, ok := errors.AsType[*CheckError](err)
	if !ok || !errors.Is(err, ErrUnfit) || len(e.Faults) != 1 || e.Faults[0].Kind != want {
		t.Fatalf("Check: %v, want the fault %s", err, want)
	}
	return e.Faults[0]
}

func setPolicy(t *testing.T, rdb redis.UniversalClient, maxmemory, policy string) {
	t.Helper()
	if err := errors.Join(
		rdb.ConfigSet(t.Context(), "maxmemory", maxmemory).Err(),
		rdb.ConfigSet(t.Context(), "maxmemory-policy", policy).Err(),
	); err != nil {
		t.Fatal(err)
	}
}

func TestCheckReportsPoliciesThatMayEvictTheCounter(t *testing.T) {
	r := locktest.StartRedis(t)
	rdb := r.Client(nil)
	daily, sequence := newDaily(t, rdb), newSequence(t, rdb)
	for _, c := range []struct {
		maxmemory, policy string
		daily, sequence   bool // is harmed
	}{
		{"100mb", "noeviction", false, false},
		{"100mb", "allkeys-lru", true, true},
		{"100mb", "allkeys-random", true, true},
		{"100mb", "volatile-ttl", true, false},
		{"100mb", "volatile-lru", true, false},
		{"0", "allkeys-lru", false, false},
	} {
		setPolicy(t, rdb, c.maxmemory, c.policy)
		for name, g := range map[string]struct {
			err    error
			harmed bool
		}{
			"daily":    {daily.Check(t.Context()), c.daily},
			"sequence": {sequence.Check(t.Context()), c.sequence},
		} {
			if !g.harmed {
				if g.err != nil {
					t.Errorf("%s, %s with maxmemory %s: %v", name, c.policy, c.maxmemory, g.err)
				}
				continue
			}
			f := onlyFault(t, g.err, FaultEviction)
			for _, want := range []string{r.Addr(), c.policy, "latchkey:" + name + ":{orders}", "come again", "CONFIG SET maxmemory-policy noeviction"} {
				if !strings.Contains(g.err.Error(), want) {
					t.Errorf("%q is missing in: %v", want, f)
				}
			}
		}
	}
}

func TestCheckReportsAReplica(t *testing.T) {
	r := locktest.StartRedis(t)
	rdb := r.Client(nil)
	if err := rdb.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	f := onlyFault(t, newSequence(t, rdb).Check(t.Context()), FaultReplica)
	if !strings.Contains(f.Problem, "127.0.0.1:1") {
		t.Errorf("it does not tell of whom: %v", f)
	}
}

func TestCheckAsksTheMasterOfTheCounterInACluster(t *testing.T) {
	c := locktest.StartCluster(t, 3, 0)
	rdb := c.Client(nil)
	q, daily := newSequence(t, rdb), newDaily(t, rdb)
	own := c.Master(ordersKey)
	for _, n := range c.Nodes() {
		if n != own {
			setPolicy(t, n.Client(nil), "100mb", "allkeys-lru")
		}
	}
	for range 20 { // or by chance
		if err := errors.Join(q.Check(t.Context()), daily.Check(t.Context())); err != nil {
			t.Fatalf("others evict keys: %v", err)
		}
	}
	setPolicy(t, own.Client(nil), "100mb", "allkeys-lru")
	if f := onlyFault(t, q.Check(t.Context()), FaultEviction); f.Server != own.Addr() {
		t.Errorf("the fault is of %s, want %s", f.Server, own.Addr())
	}
}

func TestCheckOfAServerThatDoesNotTellItsPolicyPasses(t *testing.T) {
	_, rdb := newRedis(t, time.Time{})
	if err := newSequence(t, rdb.DailyRedis.(SequenceRedis)).Check(t.Context()); err != nil {
		t.Errorf("miniredis: %v", err)
	}
}

func TestCheckReportsAClientThatCannotAsk(t *testing.T) {
	_, rdb := newSequenceRedis(t) // has IncrBy alone
	onlyFault(t, newSequence(t, rdb).Check(t.Context()), FaultUnchecked)
}

func TestCheckOfAServerThatIsAwayIsABackendError(t *testing.T) {
	refused := errors.New("connection refused")
	rdb := redis.NewClient(&redis.Options{
		Addr:       "127.0.0.1:6379",
		MaxRetries: -1,
		Dialer:     func(context.Context, string, string) (net.Conn, error) { return nil, refused },
	})
	defer rdb.Close()
	err := newSequence(t, rdb).Check(t.Context())
	if !errors.Is(err, ErrBackend) || !errors.Is(err, refused) || errors.Is(err, ErrUnfit) {
		t.Errorf("got %v, want ErrBackend with its cause", err)
	}
}

func TestCheckReturnsWhenItsContextEndsWhileRedisHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newSequence(t, hangingRedis(t))
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := q.Check(ctx); !errors.Is(err, ErrBackend) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 100*time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		start = time.Now()
		if err := q.Check(context.Background()); !errors.Is(err, ErrBackend) || time.Since(start) > checkTimeout {
			t.Errorf("without a deadline: %v after %v", err, time.Since(start))
		}
		time.Sleep(time.Minute) // the client's own timeouts
	})
}
