package core_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

const (
	handoffCallers = 8
	// handoffsEach is what each of them does: enough for what comes once in a
	// while (renewals, emptied pools) to be counted at its share.
	handoffsEach = 20_000
	// tripAllocations bounds what a release and an acquisition in Redis allocate:
	// now and then a lease finds nobody in line, and is no handoff.
	tripAllocations = 80
	// sundries are renewals, and what the garbage collector takes from pools. A
	// handoff's own allocations are a whole number.
	sundries = 0.1
	// longWait is never over, but must be waited with.
	longWait = 10 * time.Second
)

// parentOf makes a request's own context from the one that all share.
type parentOf func(shared context.Context) (context.Context, context.CancelFunc)

func sharedParent(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} }

func freshParent(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

func timedParent(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, longWait)
}

// handoffVariants are the kinds of request that a handoff is measured for.
var handoffVariants = []struct {
	name   string
	parent parentOf
	wait   time.Duration // its option core.Wait; none if zero
	// beyondParent leaves out what making and cancelling the parent allocates.
	beyondParent bool
	bound        float64 // allocations of one acquisition
}{
	{name: "shared parent context", parent: sharedParent, bound: 6},
	{name: "fresh parent context", parent: freshParent, beyondParent: true, bound: 9},
	{name: "wait option", parent: sharedParent, wait: longWait, bound: 13},
	{name: "parent context with timeout", parent: timedParent, bound: 13},
}

// handoff is what one request does: the lock, its context in use, the release.
// It tells whether the lock was passed on by another request of this process.
func handoff(l core.Locker, shared context.Context, parent parentOf, wait time.Duration) (local bool, err error) {
	ctx, cancel := parent(shared)
	defer cancel()
	var lock core.Lock
	if wait > 0 {
		lock, err = l.Acquire(ctx, "hot", core.Wait(wait))
	} else {
		lock, err = l.Acquire(ctx, "hot")
	}
	if err != nil {
		return false, err
	}
	select {
	case <-lock.Context().Done():
		err = context.Cause(lock.Context())
	default:
	}
	runtime.Gosched() // so that the others are in line again
	local = lock.Info().Handoff == core.HandoffLocal
	if e := lock.Release(context.Background()); err == nil {
		err = e
	}
	return local, err
}

// observedLocker is a Locker on a Redis of its own, with an observer.
func observedLocker(tb testing.TB) core.Locker {
	l, err := core.New(locktest.StartRedis(tb).Client(nil), core.WithObserver(core.NopObserver{}))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	return l
}

// mallocs counts the heap objects that this process allocates while do runs.
// testing.AllocsPerRun would not do: it is for one goroutine, and a handoff
// takes two.
func mallocs(do func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs - before.Mallocs)
}

func TestHandoffAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("\n*** SKIPPED: TestHandoffAllocations was NOT RUN: the race detector allocates, too.\n" +
			"*** `go test ./core` runs it, and `make test` does so beside the tests with the race detector.")
	}
	l := observedLocker(t)
	for _, v := range handoffVariants {
		t.Run(v.name, func(t *testing.T) {
			shared, cancel := context.WithCancel(t.Context())
			defer cancel()
			var mu sync.Mutex
			var locals int
			all := func(each int) {
				var callers sync.WaitGroup
				for range handoffCallers {
					callers.Go(func() {
						mine := 0
						for range each {
							local, err := handoff(l, shared, v.parent, v.wait)
							if err != nil {
								t.Error(err)
								return
							}
							if local {
								mine++
							}
						}
						mu.Lock()
						locals += mine
						mu.Unlock()
					})
				}
				callers.Wait()
			}
			all(handoffsEach / 10) // connections, pools
			locals = 0

			const total = handoffCallers * handoffsEach
			each := mallocs(func() { all(handoffsEach) }) / total
			share := float64(locals) / total
			if share < 0.99 {
				t.Errorf("%.3f of the acquisitions were local handoffs; the measurement is of something else", share)
			}
			parent := mallocs(func() {
				for range total {
					_, cancel := v.parent(shared)
					cancel()
				}
			}) / total
			t.Logf("%.2f allocations, of them %.2f for the parent context; %.4f were local handoffs", each, parent, share)
			if v.beyondParent {
				each -= parent
			}
			if beside := sundries + tripAllocations*(1-share); each > v.bound+beside {
				t.Errorf("%.2f allocations; want at most %v, and %.2f for what is no handoff", each, v.bound, beside)
			}
		})
	}
}

// BenchmarkHandoff is the same for profiles, the parent context included.
func BenchmarkHandoff(b *testing.B) {
	l := observedLocker(b)
	for _, v := range handoffVariants {
		b.Run(v.name, func(b *testing.B) {
			shared, cancel := context.WithCancel(b.Context())
			defer cancel()
			b.ReportAllocs()
			b.SetParallelism(handoffCallers)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := handoff(l, shared, v.parent, v.wait); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
