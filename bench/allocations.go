package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/report"
	"github.com/latchkey-go/latchkey/core"
)

const (
	handoffCallers = 8
	// handoffsEach is what each of them does: enough for what comes once in a
	// while (renewals, emptied pools) to be counted at its share.
	handoffsEach = 20_000
	// longWait is never over, but must be waited with.
	longWait = 10 * time.Second
)

// allocationFigures are what one kind of request allocates, on average.
// A test wants them within their bounds.
type allocationFigures struct {
	Request string  `json:"request"`
	Bound   float64 `json:"bound"`
	// Each is for one acquisition, parent context included; Parent is what
	// making and cancelling that allocates by itself.
	Each         float64 `json:"each"`
	Parent       float64 `json:"parent"`
	BeyondParent bool    `json:"beyond_parent"` // Bound is about Each without Parent
	Local        float64 `json:"local_handoffs"`
}

// counted is the figure that the bound is about.
func (f allocationFigures) counted() float64 {
	if f.BeyondParent {
		return f.Each - f.Parent
	}
	return f.Each
}

// whole is the figure as go test -benchmem has it, rounded down: an acquisition's
// own allocations are a whole number, and the rest is renewals, pools that the
// garbage collector emptied, and now and then a lease that found nobody in line.
func (f allocationFigures) whole() int { return int(f.counted()) }

// requestKind is one kind of request.
type requestKind struct {
	name         string
	parent       func(shared context.Context) (context.Context, context.CancelFunc)
	wait         bool // with the option core.Wait
	beyondParent bool
	bound        float64
}

func requestKinds() []requestKind {
	shared := func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} }
	timed := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, longWait)
	}
	return []requestKind{
		{name: "a shared parent context", parent: shared, bound: 6},
		{name: "a fresh parent context", parent: context.WithCancel, beyondParent: true, bound: 9},
		{name: "a wait timeout (option)", parent: shared, wait: true, bound: 13},
		{name: "a wait timeout (parent context)", parent: timed, bound: 13},
	}
}

func runAllocations(ctx context.Context, b *bench, r *trialResults) error {
	return b.runInWorker(ctx, trialJob{Name: "allocations"}, time.Minute, &r.Allocations)
}

func allocationTable(r *trialResults) *report.Table {
	t := &report.Table{Head: []string{"request with", "allocations", "of them the parent's own", "bound", "local handoffs"}}
	for _, f := range r.Allocations {
		bound := fmt.Sprint(f.Bound)
		if f.BeyondParent {
			bound += " beyond the parent's"
		}
		t.Rows = append(t.Rows, []string{f.Request, fmt.Sprintf("%.2f", f.Each), fmt.Sprintf("%.2f", f.Parent), bound, report.Percent(f.Local)})
	}
	return t
}

// workAllocations is the worker's side.
func workAllocations(addr string) ([]allocationFigures, error) {
	rdb := newClient(circumstances{addrs: []string{addr}, callers: handoffCallers})
	defer rdb.Close()
	l, err := core.New(rdb, core.WithObserver(core.NopObserver{}))
	if err != nil {
		return nil, err
	}
	defer l.Close()
	var all []allocationFigures
	for _, k := range requestKinds() {
		f, err := k.measure(l)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
		all = append(all, f)
	}
	return all, nil
}

func (k requestKind) measure(l core.Locker) (allocationFigures, error) {
	shared, cancel := context.WithCancel(context.Background())
	defer cancel()
	var locals atomic.Int64
	var mu sync.Mutex
	var errs []error
	all := func(each int) {
		var callers sync.WaitGroup
		for range handoffCallers {
			callers.Go(func() {
				mine := 0
				for range each {
					local, err := k.handoff(l, shared)
					if err != nil {
						mu.Lock()
						errs = append(errs, err)
						mu.Unlock()
						return
					}
					if local {
						mine++
					}
				}
				locals.Add(int64(mine))
			})
		}
		callers.Wait()
	}
	all(handoffsEach / 10) // connections, pools
	locals.Store(0)

	const total = handoffCallers * handoffsEach
	f := allocationFigures{Request: k.name, Bound: k.bound, BeyondParent: k.beyondParent}
	f.Each = mallocs(func() { all(handoffsEach) }) / total
	f.Parent = mallocs(func() {
		for range total {
			_, cancel := k.parent(shared)
			cancel()
		}
	}) / total
	f.Local = float64(locals.Load()) / total
	return f, errors.Join(errs...)
}

// handoff is one request: the lock, its context in use, the release. It tells
// whether the lock was passed on by another request of this process.
func (k requestKind) handoff(l core.Locker, shared context.Context) (local bool, err error) {
	ctx, cancel := k.parent(shared)
	defer cancel()
	var lock core.Lock
	if k.wait {
		lock, err = l.Acquire(ctx, "hot", core.Wait(longWait))
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
	return local, errors.Join(err, lock.Release(context.Background()))
}
