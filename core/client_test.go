package core_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
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

// soon is how long what takes less than a second may take on a busy machine.
const soon = 3 * time.Second

// firstSuccess has requests try until one succeeds, and returns how long that took
// and how many failed before.
func firstSuccess(t *testing.T, try func(ctx context.Context, i int) error) (time.Duration, int) {
	t.Helper()
	start := time.Now()
	var first, failed atomic.Int64
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for first.Load() == 0 && time.Since(start) < time.Minute {
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				if err := try(ctx, i); err == nil {
					first.CompareAndSwap(0, int64(time.Since(start)))
				} else if failed.Add(1) == 1 {
					t.Log("first failure: ", err)
				}
				cancel()
				<-time.After(20 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	return time.Duration(first.Load()), int(failed.Load())
}

// burst has the client open n connections, as the application may have done.
func burst(rdb redis.UniversalClient, n int) {
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { rdb.BLPop(context.Background(), time.Second, "none") })
	}
	wg.Wait()
}

func TestConnectionsThatDieSilentlyAreReplaced(t *testing.T) {
	for name, opts := range map[string][]core.Option{"own client": nil, "shared client": {core.SharedClient()}} {
		for _, idle := range []int{20, 40, 100} {
			t.Run(fmt.Sprintf("%s, %d connections", name, idle), func(t *testing.T) {
				t.Parallel()
				srv := locktest.StartRedis(t)
				p := faultproxy.New(t, srv.Addr())
				rdb := redis.NewClient(&redis.Options{Addr: p.Addr(), ContextTimeoutEnabled: true, PoolSize: 160})
				defer rdb.Close()
				l := newLocker(t, rdb, append(opts, core.TTL(6*time.Second))...)
				burst(rdb, idle)
				held := must[core.Lock](t)(l.Acquire(t.Context(), "held"))
				if n := p.SilenceOpen(); n < idle {
					t.Fatalf("%d connections", n)
				}
				took, failed := firstSuccess(t, func(ctx context.Context, i int) error {
					return l.Do(ctx, fmt.Sprint("k", i), func(context.Context) error { return nil })
				})
				t.Logf("served again after %v, %d requests failed", took.Round(time.Millisecond), failed)
				if took == 0 || took > soon || failed > 0 {
					t.Errorf("first success after %v, %d requests failed", took, failed)
				}
				// A renewal is due within a third of the TTL.
				select {
				case <-held.Context().Done():
					t.Errorf("a holder was told %v", context.Cause(held.Context()))
				case <-time.After(2500 * time.Millisecond):
				}
				// On a machine that is busy enough it is not confirmed in time.
				if err := held.Release(t.Context()); errors.Is(err, core.ErrLost) {
					t.Error(err)
				}
			})
		}
	}
}

// handover has b wait for the lock of a, and returns how long it takes from a's
// release until b has it.
func handover(t *testing.T, a, b core.Locker) time.Duration {
	t.Helper()
	lock := must[core.Lock](t)(a.Acquire(t.Context(), "k"))
	granted := make(chan time.Time, 1)
	go func() {
		next, err := b.Acquire(t.Context(), "k")
		if err != nil {
			t.Error(err)
		}
		granted <- time.Now()
		if err == nil {
			_ = next.Release(t.Context())
		}
	}()
	<-time.After(200 * time.Millisecond) // it is in line by then, or is not
	released := time.Now()
	if err := lock.Release(t.Context()); err != nil {
		t.Error(err)
	}
	return (<-granted).Sub(released)
}

// promote makes to the primary, and from its replica.
func promote(t *testing.T, from, to *locktest.Redis) {
	t.Helper()
	rdb := to.Client(nil)
	host, port, err := net.SplitHostPort(from.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := rdb.ReplicaOf(t.Context(), host, port).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replica follows", func() bool {
		return strings.Contains(rdb.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	if err := rdb.ReplicaOf(t.Context(), "no", "one").Err(); err != nil {
		t.Fatal(err)
	}
}

// An address that leads to another server by now: the subscription has to follow,
// too. The old server may have been demoted, or live on as it was.
func TestASubscriptionFollowsAnAddressThatMoves(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]core.Option{"own client": nil, "shared client": {core.SharedClient()}} {
		for _, demoted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, demoted %v", name, demoted), func(t *testing.T) {
				t.Parallel()
				first, second := locktest.StartRedis(t), locktest.StartRedis(t)
				p := faultproxy.New(t, first.Addr())
				locker := func() *core.RedisLocker {
					rdb := redis.NewClient(&redis.Options{Addr: p.Addr()})
					t.Cleanup(func() { rdb.Close() })
					return newLocker(t, rdb, opts...)
				}
				a, b := locker(), locker()
				t.Logf("before: %v, %v", handover(t, a, b), handover(t, b, a))
				promote(t, first, second)
				p.Retarget(second.Addr())
				if demoted {
					host, port, _ := net.SplitHostPort(second.Addr())
					if err := first.Client(nil).ReplicaOf(t.Context(), host, port).Err(); err != nil {
						t.Fatal(err)
					}
				} else {
					// Only connections with commands are cut, as by a proxy that drains them.
					p.CutMatching(faultproxy.Contains("evalsha"))
				}
				var all []time.Duration
				for range 3 {
					all = append(all, handover(t, a, b), handover(t, b, a))
				}
				t.Logf("afterwards: %v", all)
				slow := 0
				for _, d := range all {
					if d > time.Second {
						slow++
					}
				}
				if slow > 1 || slices.Max(all) > soon {
					t.Errorf("handovers took %v", all)
				}
			})
		}
	}
}

// proxied has a client reach each server through a proxy of its own.
type proxied struct {
	t       *testing.T
	mu      sync.Mutex
	proxies map[string]*faultproxy.Proxy // by the server's address
}

func (p *proxied) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	p.mu.Lock()
	if p.proxies == nil {
		p.proxies = make(map[string]*faultproxy.Proxy)
	}
	to := p.proxies[addr]
	if to == nil {
		to = faultproxy.New(p.t, addr)
		p.proxies[addr] = to
	}
	p.mu.Unlock()
	return new(net.Dialer).DialContext(ctx, network, to.Addr())
}

// each calls f for the proxies of these servers, or of all.
func (p *proxied) each(f func(*faultproxy.Proxy), servers ...*locktest.Redis) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for addr, to := range p.proxies {
		if len(servers) == 0 || slices.ContainsFunc(servers, func(r *locktest.Redis) bool { return r.Addr() == addr }) {
			f(to)
		}
	}
}

// Wherever the connections lead, and whatever goes over them, waiters' grants
// included.
func TestAllKindsOfConnectionsThatDieSilentlyAreReplaced(t *testing.T) {
	type client struct {
		rdb     redis.UniversalClient
		servers []*locktest.Redis // whose connections die; none is all
	}
	clients := map[string]func(t *testing.T, p *proxied) client{
		"a server": func(t *testing.T, p *proxied) client {
			return client{rdb: locktest.StartRedis(t).Client(&redis.Options{Dialer: p.dial})}
		},
		"a cluster": func(t *testing.T, p *proxied) client {
			return client{rdb: locktest.StartCluster(t, 3, 0).Client(&redis.ClusterOptions{Dialer: p.dial})}
		},
		"a cluster, by the caller's NewClient": func(t *testing.T, p *proxied) client {
			return client{rdb: locktest.StartCluster(t, 3, 0).Client(&redis.ClusterOptions{
				NewClient: func(o *redis.Options) *redis.Client {
					own := *o
					own.Dialer = p.dial
					return redis.NewClient(&own)
				},
			})}
		},
		"a server, by a wrapper of its client": func(t *testing.T, p *proxied) client {
			return client{rdb: struct{ *redis.Client }{locktest.StartRedis(t).Client(&redis.Options{Dialer: p.dial})}}
		},
		"Sentinels": func(t *testing.T, p *proxied) client {
			s := locktest.StartSentinel(t, 1)
			return client{s.Client(&redis.FailoverOptions{Dialer: p.dial}), s.Servers()}
		},
	}
	for name, connect := range clients {
		for _, opts := range [][]core.Option{nil, {core.SharedClient()}} {
			t.Run(fmt.Sprintf("%s, shared %v", name, len(opts) > 0), func(t *testing.T) {
				t.Parallel()
				p := &proxied{t: t}
				c := connect(t, p)
				opts = append(opts, core.TTL(6*time.Second))
				l, other := newLocker(t, c.rdb, opts...), newLocker(t, c.rdb, opts...)
				run := func(ctx context.Context, i int) error {
					return l.Do(ctx, fmt.Sprint("k", i), func(context.Context) error { return nil })
				}
				var all sync.WaitGroup
				for i := range 64 { // its own pools are full, too
					all.Go(func() {
						for done, start := 0, time.Now(); done < 20; {
							// So many that connect at a time may take longer than a lock's call may.
							if err := run(t.Context(), i); err == nil {
								done++
							} else if time.Since(start) > time.Minute {
								t.Error(err)
								return
							}
						}
					})
				}
				all.Wait()
				held := must[core.Lock](t)(l.Acquire(t.Context(), "held"))
				granted := make(chan error, 1)
				go func() {
					next, err := other.Acquire(t.Context(), "held")
					if err == nil {
						err = next.Release(t.Context())
					}
					granted <- err
				}()
				<-time.After(500 * time.Millisecond) // it is in line

				p.each(func(to *faultproxy.Proxy) { to.SilenceOpen() }, c.servers...)
				took, failed := firstSuccess(t, run)
				t.Logf("served again after %v, %d requests failed", took.Round(time.Millisecond), failed)
				if took == 0 || took > soon || failed > 0 {
					t.Errorf("first success after %v, %d requests failed", took, failed)
				}
				<-time.After(2500 * time.Millisecond) // a renewal
				if held.Context().Err() != nil {
					t.Errorf("a holder was told %v", context.Cause(held.Context()))
				}
				released := time.Now()
				if err := held.Release(t.Context()); err != nil {
					t.Error(err)
				}
				if err := <-granted; err != nil {
					t.Error(err)
				}
				if took := time.Since(released); took > soon {
					t.Errorf("the next in line was granted after %v", took)
				}
			})
		}
	}
}

// While nothing gets through at all it is an outage. It ends when a new connection
// is answered, whatever has become of the old ones.
func TestAnOutageEndsWithTheFirstConnectionThatIsAnswered(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]core.Option{"own client": nil, "shared client": {core.SharedClient()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := faultproxy.New(t, locktest.StartRedis(t).Addr())
			rdb := redis.NewClient(&redis.Options{Addr: p.Addr(), ContextTimeoutEnabled: true})
			defer rdb.Close()
			l := newLocker(t, rdb, opts...)
			warmUp(t, l)
			burst(rdb, 20)
			run := func(ctx context.Context, i int) error {
				return l.Do(ctx, fmt.Sprint("k", i), func(context.Context) error { return nil })
			}
			p.Stall()
			end := time.Now().Add(2 * time.Second)
			for i := 0; time.Now().Before(end); i++ {
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				_ = run(ctx, i)
				cancel()
			}
			p.SilenceOpen()
			p.Resume()
			took, failed := firstSuccess(t, run)
			t.Logf("served again %v after new connections work, %d requests failed", took.Round(time.Millisecond), failed)
			if took == 0 || took > soon {
				t.Errorf("first success after %v", took)
			}
		})
	}
}

// The application's blocking commands have all of its connections.
func TestOtherCommandsCannotUseUpTheLocksConnections(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]core.Option{"own client": nil, "shared client": {core.SharedClient()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := locktest.StartRedis(t)
			rdb := srv.Client(&redis.Options{PoolSize: 5, PoolTimeout: 500 * time.Millisecond, ReadTimeout: time.Minute})
			l := newLocker(t, rdb, append(opts, core.TTL(3*time.Second))...)
			g, err := core.NewGuard(l, core.OnBackendError(core.FailOpen))
			if err != nil {
				t.Fatal(err)
			}
			held := must[core.Lock](t)(l.Acquire(t.Context(), "held"))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var blocked sync.WaitGroup
			for range 10 {
				blocked.Go(func() {
					for ctx.Err() == nil {
						rdb.BLPop(ctx, 2*time.Second, "none")
					}
				})
			}
			var inside, most atomic.Int32
			end := time.Now().Add(4 * time.Second)
			var all sync.WaitGroup
			for range 5 {
				all.Go(func() {
					for time.Now().Before(end) {
						err := g.Run(t.Context(), "order:42", func(context.Context) error {
							n := inside.Add(1)
							for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
							}
							<-time.After(20 * time.Millisecond)
							inside.Add(-1)
							return nil
						}, core.Wait(5*time.Second))
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			if most.Load() != 1 {
				t.Errorf("%d at once", most.Load())
			}
			if held.Context().Err() != nil {
				t.Errorf("a holder was told %v", context.Cause(held.Context()))
			}
			cancel()
			blocked.Wait()
			if err := held.Release(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Of a wrapper's client nothing is known. That its connections are all in use is no
// outage of Redis: who asks is told to come again, and is not let in without a lock.
func TestAPoolThatIsUsedUpIsNoOutage(t *testing.T) {
	t.Parallel()
	srv := locktest.StartRedis(t)
	rdb := srv.Client(&redis.Options{PoolSize: 2, PoolTimeout: 50 * time.Millisecond, ReadTimeout: time.Minute, MaxRetries: -1})
	l := newLocker(t, struct{ redis.UniversalClient }{rdb})
	warmUp(t, l)
	g, err := core.NewGuard(l, core.OnBackendError(core.FailOpen))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var blocked sync.WaitGroup
	for range 2 {
		blocked.Go(func() { rdb.BLPop(ctx, 3*time.Second, "none") })
	}
	eventually(t, "the pool is used up", func() bool { return rdb.Ping(t.Context()).Err() == redis.ErrPoolTimeout })
	for range 5 {
		err := g.Run(t.Context(), "k", func(context.Context) error { t.Error("let in without a lock"); return nil })
		if !errors.Is(err, core.ErrQueueFull) || errors.Is(err, core.ErrBackend) || core.Denied(err).Reason != core.ReasonQueueFull {
			t.Errorf("%v, want ErrQueueFull", err)
		}
	}
	cancel()
	blocked.Wait()
	if err := g.Run(t.Context(), "k", func(context.Context) error { return nil }); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
