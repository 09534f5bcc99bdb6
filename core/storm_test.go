package core_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

var (
	storm    = flag.Int("storm", 10_000, "callers that hang up, in TestCallersWhoHangUpCostNobodyElse")
	handoffs = flag.Int("handoffs", 8_000, "of each kind, in TestTheLastHoldersContextHasEndedBeforeTheNextIsIn")
)

// A retry storm that hangs up: each caller's context ends at once. What has not left
// the process by then is withdrawn. A patient caller of a free key is served all the
// while, and memory does not grow with the storm.
func TestCallersWhoHangUpCostNobodyElse(t *testing.T) {
	for name, client := range map[string]*redis.Options{
		"heeds deadlines": {ContextTimeoutEnabled: true}, "does not": {},
	} {
		for _, shared := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, shared %v", name, shared), func(t *testing.T) {
				var opts []core.Option
				if shared {
					opts = append(opts, core.SharedClient())
				}
				l := newLocker(t, locktest.StartRedis(t).Client(client), opts...)
				warmUp(t, l)
				before := heapInUse()
				var most, worst, served atomic.Int64
				done := make(chan struct{})
				var beside sync.WaitGroup
				beside.Go(func() { // the patient one
					for i := 0; ; i++ {
						start := time.Now()
						err := l.Do(context.Background(), fmt.Sprint("patient", i), func(context.Context) error { return nil })
						worst.Store(max(worst.Load(), int64(time.Since(start))))
						if err != nil {
							t.Errorf("a patient caller: %v after %v", err, time.Since(start))
						}
						served.Add(1)
						select {
						case <-done:
							return
						case <-time.After(10 * time.Millisecond):
						}
					}
				})
				beside.Go(func() {
					for {
						var m runtime.MemStats
						runtime.ReadMemStats(&m)
						most.Store(max(most.Load(), int64(m.HeapAlloc)))
						select {
						case <-done:
							return
						case <-time.After(100 * time.Millisecond):
						}
					}
				})
				start := time.Now()
				var n, granted atomic.Int64
				var callers sync.WaitGroup
				for range 100 {
					callers.Go(func() {
						for i := n.Add(1); i <= int64(*storm); i = n.Add(1) {
							ctx, cancel := context.WithCancel(context.Background())
							go cancel()
							lock, err := l.Acquire(ctx, fmt.Sprint("k", i))
							switch {
							case err == nil:
								granted.Add(1)
								_ = lock.Release(ctx)
							case !errors.Is(err, context.Canceled):
								t.Errorf("a caller who hangs up: %v", err)
							}
						}
					})
				}
				callers.Wait()
				took := time.Since(start)
				close(done)
				beside.Wait()
				grown := (most.Load() - before) >> 20
				t.Logf("%d callers in %v, %d granted; a patient one waited for %v at the most, %d times; %d MB more",
					*storm, took.Round(time.Millisecond), granted.Load(), time.Duration(worst.Load()), served.Load(), grown)
				if worst.Load() > int64(soon) {
					t.Errorf("a patient caller waited for %v", time.Duration(worst.Load()))
				}
				if grown > 64 {
					t.Errorf("%d MB more", grown)
				}
			})
		}
	}
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Whoever is next is not in before the last holder has been told that it is not.
func TestTheLastHoldersContextHasEndedBeforeTheNextIsIn(t *testing.T) {
	for name, opts := range map[string][]core.Option{
		"handed on in the process": {core.Tenure(core.MaxTenure)}, "by way of Redis": {core.Tenure(0)},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLocker(t, locktest.StartRedis(t).Client(nil), opts...)
			var last atomic.Pointer[context.Context]
			var early, n atomic.Int64
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for range *handoffs / 8 {
						lock, err := l.Acquire(context.Background(), "k")
						if err != nil {
							t.Error(err)
							return
						}
						if before := last.Load(); before != nil && (*before).Err() == nil {
							early.Add(1)
						}
						ctx := lock.Context()
						last.Store(&ctx)
						n.Add(1)
						if err := lock.Release(context.Background()); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			if early.Load() > 0 {
				t.Errorf("in %d of %d times the last holder's context had not ended", early.Load(), n.Load())
			}
		})
	}
}
