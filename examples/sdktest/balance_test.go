package sdktest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// Whatever comes of a lock and of those who wait for it: once the Lockers are closed,
// every span has ended, and nobody is counted any more.
func TestNothingIsLeftOpenOrCountedHoweverItEnds(t *testing.T) {
	for name, happen := range map[string]func(r *rig, redis *locktest.Mini, here, there *core.RedisLocker){
		"released": func(r *rig, _ *locktest.Mini, here, there *core.RedisLocker) {
			first, second, third := r.on(here), r.queued(here), r.queued(there)
			r.release(first)
			r.release(<-second)
			r.release(<-third)
		},
		"refused": func(r *rig, _ *locktest.Mini, here, there *core.RedisLocker) {
			defer r.release(r.on(here))
			for _, l := range []*core.RedisLocker{here, there} {
				for want, terms := range map[error]core.AcquireOption{
					core.ErrHeld: core.Wait(0), core.ErrQueueFull: core.MaxWaiters(0), core.ErrWaitTimeout: core.Wait(time.Second),
					core.ErrOption: core.TTL(-1),
				} {
					ctx, _ := r.request("request")
					if _, err := l.Acquire(ctx, key, terms); !errors.Is(err, want) {
						r.t.Errorf("%v, want %v", err, want)
					}
				}
			}
		},
		"given up": func(r *rig, _ *locktest.Mini, here, there *core.RedisLocker) {
			defer r.release(r.on(here))
			for _, l := range []*core.RedisLocker{here, there} {
				ctx, _ := r.request("request")
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				if _, err := l.Acquire(ctx, key); !errors.Is(err, context.DeadlineExceeded) {
					r.t.Error(err)
				}
			}
		},
		"lost, with others in line": func(r *rig, redis *locktest.Mini, here, there *core.RedisLocker) {
			lock, second, third := r.on(here), r.queued(here), r.queued(there)
			redis.FlushAll()
			<-lock.Context().Done()
			for range 2 {
				select {
				case l := <-second:
					r.release(l)
				case l := <-third:
					r.release(l)
				}
			}
		},
		"broken at once": func(r *rig, _ *locktest.Mini, here, there *core.RedisLocker) {
			lock, next := r.on(here), r.queued(there)
			if _, err := there.BreakNow(r.t.Context(), key); err != nil {
				r.t.Error(err)
			}
			r.release(<-next)
			<-lock.Context().Done()
		},
		"Redis away for longer than a lease": func(r *rig, redis *locktest.Mini, here, there *core.RedisLocker) {
			lock, second, third := r.on(here), r.queued(here), r.queued(there)
			redis.SetError("LOADING")
			<-lock.Context().Done()
			<-second
			<-third
			redis.SetError("")
		},
		"a panic": func(r *rig, _ *locktest.Mini, here, _ *core.RedisLocker) {
			defer func() { _ = recover() }()
			ctx, _ := r.request("request")
			_ = here.Do(ctx, key, func(context.Context) error { panic("a bug") })
		},
		"a guard in shadow": func(r *rig, _ *locktest.Mini, here, there *core.RedisLocker) {
			defer r.release(r.on(there))
			guard, err := core.NewGuard(here, core.Shadow(nil))
			if err != nil {
				r.t.Fatal(err)
			}
			for _, key := range []string{key, "free"} {
				ctx, _ := r.request("request")
				if err := guard.Run(ctx, key, func(context.Context) error { return nil }); err != nil {
					r.t.Error(err)
				}
			}
		},
		"a guard that fails open": func(r *rig, redis *locktest.Mini, here, _ *core.RedisLocker) {
			guard, err := core.NewGuard(here, core.OnBackendError(core.FailOpen))
			if err != nil {
				r.t.Fatal(err)
			}
			redis.SetError("LOADING")
			ctx, _ := r.request("request")
			if err := guard.Run(ctx, key, func(context.Context) error { return nil }); err != nil {
				r.t.Error(err)
			}
			redis.SetError("")
		},
		"closed, with a holder and others in line": func(r *rig, _ *locktest.Mini, here, there *core.RedisLocker) {
			r.on(here)
			second, third := r.queued(here), r.queued(there)
			_ = there.Close()
			_ = here.Close()
			<-second
			<-third
		},
	} {
		t.Run(name, func(t *testing.T) {
			replicas(t, 2, func(t *testing.T, r *rig, redis *locktest.Mini, replica []*core.RedisLocker) {
				happen(r, redis, replica[0], replica[1])
				for _, l := range replica {
					_ = l.Close()
				}
				// Not later: the tracer could be shut down now.
				open := map[string]int{}
				for _, s := range r.spans.Started() {
					open[s.Name()]++
				}
				for _, s := range r.spans.Ended() {
					open[s.Name()]--
				}
				for span, n := range open {
					if n != 0 && !strings.HasPrefix(span, "request") {
						t.Errorf("%d spans %q have not ended", n, span)
					}
				}
				synctest.Wait()
				for _, metric := range []string{"dlock.held.count", "dlock.waiter.count"} {
					r.expectSum(metric, attributes{"dlock.namespace": shop}, 0)
				}
			})
		})
	}
}
