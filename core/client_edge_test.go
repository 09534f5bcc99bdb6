package core_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/internal/faultproxy"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// To connect takes several round trips: TCP, TLS, HELLO, SELECT.
func TestAnOutageOfARedisThatIsFarAwayEnds(t *testing.T) {
	t.Parallel()
	p := faultproxy.New(t, locktest.StartRedis(t).Addr())
	p.DelayReplies(150 * time.Millisecond)
	rdb := redis.NewClient(&redis.Options{Addr: p.Addr(), DB: 1})
	defer rdb.Close()
	l := newLocker(t, rdb)
	run := func(ctx context.Context, _ int) error {
		return l.Do(ctx, "k", func(context.Context) error { return nil })
	}
	if err := run(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	p.Block()
	p.CutAll()
	eventually(t, "it counts as down", func() bool {
		err := run(t.Context(), 0)
		return err != nil && strings.Contains(err.Error(), "not asked")
	})
	p.Unblock()
	if took, _ := firstSuccess(t, run); took == 0 || took > 2*soon {
		t.Errorf("back after %v", took)
	}
}

// A server that is a replica by now refuses every question for as long as the address
// leads to it.
func TestAServerThatIsNoPrimaryIsNotStormedWithConnections(t *testing.T) {
	t.Parallel()
	srv := locktest.StartRedis(t)
	admin := srv.Client(nil)
	l := newLocker(t, srv.Client(nil), core.TTL(30*time.Second))
	held := must[core.Lock](t)(l.Acquire(t.Context(), "k"))
	defer held.Release(context.Background())
	waiting, cancel := context.WithCancel(t.Context())
	var waiter sync.WaitGroup
	waiter.Go(func() { _, _ = l.Acquire(waiting, "k") })
	defer waiter.Wait()
	defer cancel()
	eventually(t, "it listens", func() bool { return len(admin.PubSubChannels(t.Context(), "*").Val()) == 1 })
	if err := admin.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	subscribed := func() int {
		stat := admin.InfoMap(t.Context(), "commandstats").Val()["Commandstats"]["cmdstat_subscribe"]
		n, _ := strconv.Atoi(strings.TrimPrefix(strings.Split(stat, ",")[0], "calls="))
		return n
	}
	before := subscribed()
	<-time.After(4 * time.Second)
	if n := subscribed() - before; n > 8 {
		t.Errorf("%d subscriptions in 4 s", n)
	}
}

// A Dialer's faults are those of a connection, whatever it does.
func TestADialerThatReturnsNothingIsAnErrorOfTheConnection(t *testing.T) {
	for name, fault := range map[string]func(){"nothing": func() {}, "not at all": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var faulty atomic.Bool
			rdb := redis.NewClient(&redis.Options{
				Addr: locktest.StartRedis(t).Addr(),
				Dialer: func(_ context.Context, network, addr string) (net.Conn, error) {
					if faulty.Load() {
						fault()
						return nil, nil
					}
					return net.Dial(network, addr)
				},
			})
			defer rdb.Close()
			l := newLocker(t, rdb)
			faulty.Store(true)
			for range 5 {
				if _, err := l.Acquire(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), "Dialer") {
					t.Errorf("%v, want an error about the Dialer", err)
				}
				<-time.After(100 * time.Millisecond) // probes, too
			}
			faulty.Store(false)
			eventually(t, "it is back", func() bool {
				return l.Do(t.Context(), "k", func(context.Context) error { return nil }) == nil
			})
		})
	}
}

func TestOptionsOfAClusterClientThatPanicAreErrorsOfTheConnection(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]*redis.ClusterOptions{
		"NewClient of the client's options has returned no client": {NewClient: func(*redis.Options) *redis.Client { return nil }},
		"NewClient of":    {NewClient: func(*redis.Options) *redis.Client { panic("oops") }},
		"ClusterSlots of": {ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) { panic("oops") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts.Addrs = []string{"127.0.0.1:1"}
			rdb := redis.NewClusterClient(opts)
			defer rdb.Close()
			l := newLocker(t, rdb)
			if _, err := l.Acquire(t.Context(), "k"); !errors.Is(err, core.ErrBackend) || !strings.Contains(err.Error(), name) {
				t.Errorf("%v, want an error about %s", err, name)
			}
		})
	}
}

// faultyParent is a context whose Value panics when told to: cancelling a context
// that descends from it asks it.
type faultyParent struct {
	context.Context
	faulty atomic.Bool
}

func (c *faultyParent) Done() <-chan struct{} { return c.Context.Done() }

func (c *faultyParent) Value(key any) any {
	if c.faulty.Load() {
		panic("a bug in a context")
	}
	return c.Context.Value(key)
}

func TestAContextThatPanicsDoesNotKeepTheLock(t *testing.T) {
	l := newLocker(t, locktest.StartRedis(t).Client(nil), core.TTL(2*time.Second))
	base, cancel := context.WithCancel(t.Context())
	defer cancel()
	ctx := &faultyParent{Context: base}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("nothing panicked: there is nothing to be seen")
			}
		}()
		_ = l.Do(ctx, "k", func(context.Context) error {
			ctx.faulty.Store(true)
			return nil
		})
	}()
	if err := l.Do(t.Context(), "k", func(context.Context) error { return nil }, core.Wait(soon)); err != nil {
		t.Error(err)
	}
}

func TestAHookThatPanicsInAnOperatorsCallIsItsError(t *testing.T) {
	rdb := locktest.StartRedis(t).Client(nil)
	h := &panicky{how: func() { panic("a bug in a hook") }}
	rdb.AddHook(h)
	l := newLocker(t, rdb, core.SharedClient())
	warmUp(t, l)
	h.armed.Store(1 << 20)
	if err := l.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("Check: %v", err)
	}
	for _, err := range l.Leases(t.Context()) {
		if err == nil || !strings.Contains(err.Error(), "panicked") {
			t.Errorf("Leases: %v", err)
		}
	}
	h.armed.Store(0)
}

// While a lock's operations go over the standby, other commands have the client's
// connections. An attempt that waited for one is not made later, when nobody knows of
// it, and Close does not wait for it.
func TestAnAttemptThatIsGivenUpIsNotMadeLater(t *testing.T) {
	t.Parallel()
	srv := locktest.StartRedis(t)
	rdb := srv.Client(&redis.Options{PoolSize: 2, PoolTimeout: 30 * time.Second, ReadTimeout: time.Minute, MaxRetries: -1})
	l := newLocker(t, rdb, core.SharedClient(), core.TTL(2*time.Second))
	warmUp(t, l)
	var blocked sync.WaitGroup
	for range 2 {
		blocked.Go(func() { rdb.BLPop(t.Context(), 5*time.Second, "none") })
	}
	admin := srv.Client(nil)
	eventually(t, "they block", func() bool {
		return admin.InfoMap(t.Context(), "clients").Val()["Clients"]["blocked_clients"] == "2"
	})
	if err := l.Do(t.Context(), "k", func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > soon {
		t.Errorf("Close took %v", took)
	}
	seen := 0
	for range 70 {
		seen += len(admin.Keys(t.Context(), "*:l:*").Val())
		<-time.After(100 * time.Millisecond)
	}
	if seen > 0 {
		t.Error("a lease of nobody")
	}
	blocked.Wait()
}
