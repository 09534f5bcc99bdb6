package core_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// panicky are hooks of a client with a bug that shows as often as it is armed.
type panicky struct {
	armed atomic.Int32
	how   func()
	only  string // in calls with this operation of the script; "" is in all
}

func (h *panicky) bug(cmds ...redis.Cmder) {
	has := func(cmd redis.Cmder) bool { return slices.Contains(cmd.Args(), any(h.only)) }
	if (h.only == "" || slices.ContainsFunc(cmds, has)) && h.armed.Add(-1) >= 0 {
		h.how()
	}
}

func (h *panicky) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		h.bug()
		return next(ctx, network, addr)
	}
}

func (h *panicky) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.bug(cmd)
		return next(ctx, cmd)
	}
}

func (h *panicky) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.bug(cmds...)
		return next(ctx, cmds)
	}
}

// A hook of the client that panics is a call without an answer: it is made again,
// nobody is denied for it, and the key is free.
func TestAHookOfTheClientThatPanicsHurtsNobody(t *testing.T) {
	for name, client := range map[string]*redis.Options{
		"in the caller's goroutine": {ContextTimeoutEnabled: true}, "in another": {},
	} {
		for _, c := range []struct {
			op     string
			panics int32
		}{{"acquire", 1}, {"acquire", 3}, {"release_plain", 1}} {
			t.Run(fmt.Sprintf("%s, %d panics of %s", name, c.panics, c.op), func(t *testing.T) {
				srv := locktest.StartRedis(t)
				rdb := srv.Client(client)
				// In nothing that goes on beside the next call: two failures in a row are an
				// outage, in which it is denied.
				h := &panicky{how: func() { panic("a bug in a hook") }, only: c.op}
				rdb.AddHook(h)
				l := newLocker(t, rdb, core.SharedClient())
				warmUp(t, l)
				for i := range 20 {
					h.armed.Store(c.panics)
					start := time.Now()
					if err := l.Do(t.Context(), "k", func(context.Context) error { return nil }); err != nil {
						t.Fatalf("%d: %v", i, err)
					}
					if took := time.Since(start); took > soon {
						t.Fatalf("%d: took %v", i, took)
					}
				}
				h.armed.Store(0)
				free := must[core.Lock](t)(newLocker(t, srv.Client(nil)).Acquire(t.Context(), "k"))
				if err := free.Release(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A hook may end the goroutine of its call, as a test's Fatal does. What is then not
// answered must not stop the Locker.
func TestAHookOfTheClientThatEndsTheGoroutineStopsNobodyElse(t *testing.T) {
	srv := locktest.StartRedis(t)
	rdb := srv.Client(&redis.Options{ContextTimeoutEnabled: true})
	h := &panicky{how: runtime.Goexit}
	rdb.AddHook(h)
	l := newLocker(t, rdb, core.SharedClient())
	warmUp(t, l)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.armed.Store(1)
		_ = l.Do(t.Context(), "k", func(context.Context) error { return nil })
	}()
	<-ended
	h.armed.Store(0)
	for _, key := range []string{"another", "k"} {
		start := time.Now()
		if err := l.Do(t.Context(), key, func(context.Context) error { return nil }); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		t.Logf("%s: %v", key, time.Since(start))
	}
}

// The Locker's own client has no hooks, but functions of the caller's options.
func TestFunctionsOfTheClientsOptionsThatPanicAreErrorsOfTheConnection(t *testing.T) {
	boom := func() { panic("a bug in an option") }
	for name, set := range map[string]func(o *redis.Options, bug func()){
		"Dialer": func(o *redis.Options, bug func()) {
			dial := redis.NewDialer(&redis.Options{DialTimeout: time.Second})
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				bug()
				return dial(ctx, network, addr)
			}
		},
		"OnConnect": func(o *redis.Options, bug func()) {
			o.OnConnect = func(context.Context, *redis.Conn) error { bug(); return nil }
		},
		"CredentialsProviderContext": func(o *redis.Options, bug func()) {
			o.CredentialsProviderContext = func(context.Context) (string, string, error) { bug(); return "", "", nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := &panicky{how: boom}
			o := &redis.Options{Addr: locktest.StartRedis(t).Addr()}
			set(o, func() { h.bug() })
			rdb := redis.NewClient(o)
			defer rdb.Close()
			h.armed.Store(2)
			l := newLocker(t, rdb)
			if err := l.Do(t.Context(), "k", func(context.Context) error { return nil }); err != nil {
				t.Error(err)
			}
			if h.armed.Load() > 0 {
				t.Error("not called")
			}
		})
	}
}

// faultyObserver panics where it is called in goroutines of the Locker.
type faultyObserver struct {
	core.NopObserver
	renewed, released, health atomic.Int32
}

func (o *faultyObserver) Renewed(context.Context, core.Attempt, error) {
	o.renewed.Add(1)
	panic("a bug in Renewed")
}

func (o *faultyObserver) Released(_ context.Context, _ core.Attempt, r core.HoldResult) {
	if r.Err != nil {
		o.released.Add(1)
		panic("a bug in Released")
	}
}

func (o *faultyObserver) HealthChanged(core.Health) {
	o.health.Add(1)
	panic("a bug in HealthChanged")
}

func TestAnObserverThatPanicsInAGoroutineOfTheLockerHurtsNobody(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(l *core.RedisLocker, o core.Observer) core.Locker{
		"WithObserver": nil,
		"Observe":      func(l *core.RedisLocker, o core.Observer) core.Locker { return core.Observe(l, o) },
		"beside another": func(l *core.RedisLocker, o core.Observer) core.Locker {
			return core.Observe(core.Observe(l, o), core.NopObserver{})
		},
		"of another's Locker": func(l *core.RedisLocker, o core.Observer) core.Locker { return core.Observe(foreignLocker{l}, o) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := locktest.StartRedis(t)
			var o faultyObserver
			opts := []core.Option{core.TTL(3 * time.Second)}
			if wrap == nil {
				opts = append(opts, core.WithObserver(&o))
			}
			l := newLocker(t, srv.Client(nil), opts...)
			var locker core.Locker = l
			if wrap != nil {
				locker = wrap(l, &o)
			}
			lock := must[core.Lock](t)(locker.Acquire(t.Context(), "k"))
			if name != "of another's Locker" {
				eventually(t, "it is renewed twice", func() bool { return o.renewed.Load() >= 2 })
			}
			if lock.Context().Err() != nil {
				t.Fatalf("lost: %v", context.Cause(lock.Context()))
			}
			if _, err := l.BreakNow(t.Context(), "k"); err != nil {
				t.Fatal(err)
			}
			<-lock.Context().Done()
			eventually(t, "it is told of the loss", func() bool { return o.released.Load() > 0 })
			_ = lock.Release(t.Context())
			if name != "of another's Locker" {
				srv.Kill()
				for o.health.Load() == 0 {
					_, _ = l.TryAcquire(t.Context(), "other")
				}
				srv.Restart()
			}
			eventually(t, "it is free, and Redis is back", func() bool {
				next, err := l.Acquire(context.Background(), "k")
				return err == nil && next.Release(context.Background()) == nil
			})
		})
	}
}

// foreignLocker is one that is not of this package.
type foreignLocker struct{ l *core.RedisLocker }

type foreignLock struct{ core.Lock }

func (f foreignLocker) Acquire(ctx context.Context, key string, opts ...core.AcquireOption) (core.Lock, error) {
	lock, err := f.l.Acquire(ctx, key, opts...)
	if err != nil {
		return nil, err
	}
	return foreignLock{lock}, nil
}
