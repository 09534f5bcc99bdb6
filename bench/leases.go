package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/machine"
	"github.com/latchkey-go/latchkey/bench/internal/report"
	"github.com/latchkey-go/latchkey/core"
)

const (
	leaseTTL = 30 * time.Second
	// leaseCallers are the goroutines that take the leases; they have ended when
	// the holding begins.
	leaseCallers = 256
)

// leaseFigures are what it costs one process to hold many leases.
type leaseFigures struct {
	Leases int           `json:"leases"`
	Hold   time.Duration `json:"hold_ns"`
	// Goroutines are the most that Latchkey and its client had meanwhile.
	Goroutines int `json:"goroutines"`
	// HeapEach is for one lease, HeapContextEach with its context in use, both in
	// bytes. The key and the reference to the lock are the caller's.
	HeapEach        float64       `json:"heap_bytes_each"`
	HeapContextEach float64       `json:"heap_bytes_with_context_each"`
	CPU             float64       `json:"cpu_cores"` // while they were held
	Lost            int           `json:"lost"`
	Taking          time.Duration `json:"taking_ns"` // all of them
	Giving          time.Duration `json:"giving_back_ns"`
	Errors          int           `json:"errors"` // of releases
	Error           string        `json:"error,omitempty"`
}

func runLeases(ctx context.Context, b *bench, r *trialResults) error {
	f := new(leaseFigures)
	bound := time.Minute + b.options.hold + time.Duration(b.options.leases)*time.Millisecond
	if err := b.runInWorker(ctx, trialJob{Name: "leases", Count: b.options.leases, Hold: b.options.hold}, bound, f); err != nil {
		return err
	}
	r.Leases = f
	return nil
}

func leaseTable(r *trialResults) *report.Table {
	f := r.Leases
	return &report.Table{
		Head: []string{"", "goroutines", "heap each", "with its context", "CPU", "lost", "taking all", "giving all back", "errors"},
		Rows: [][]string{{
			nameLatchkey, fmt.Sprint(f.Goroutines), report.InBytes(f.HeapEach), report.InBytes(f.HeapContextEach), report.Percent(f.CPU) + " of a core",
			fmt.Sprint(f.Lost), report.Short(f.Taking), report.Short(f.Giving), fmt.Sprint(f.Errors),
		}},
	}
}

// workLeases is the worker's side.
func workLeases(n int, hold time.Duration, addr string) (*leaseFigures, error) {
	others := runtime.NumGoroutine()
	rdb := newClient(circumstances{addrs: []string{addr}, callers: leaseCallers})
	defer rdb.Close()
	l, err := core.New(rdb, core.TTL(leaseTTL))
	if err != nil {
		return nil, err
	}
	defer l.Close()

	f := &leaseFigures{Leases: n, Hold: hold}
	keys, locks := make([]string, n), make([]core.Lock, n)
	for i := range keys {
		keys[i] = fmt.Sprint("lease ", i)
	}
	if err := readyToTake(l, n); err != nil {
		return nil, err
	}
	parent, cancel := context.WithCancel(context.Background())
	defer cancel()
	before := settledMemory()
	start := time.Now()
	if err := inParallel(n, func(i int) (err error) {
		locks[i], err = l.Acquire(parent, keys[i])
		return err
	}); err != nil {
		return nil, err
	}
	f.Taking = time.Since(start)
	f.HeapEach = float64(settledMemory().since(before).heap) / float64(n)
	for _, k := range locks {
		k.Context().Done()
	}
	f.HeapContextEach = float64(settledMemory().since(before).heap) / float64(n)

	if err := f.holding(hold, others); err != nil {
		return nil, err
	}
	for _, k := range locks {
		if k.Remaining() == 0 || k.Context().Err() != nil {
			f.Lost++
		}
	}

	start = time.Now()
	var failed atomic.Int64
	if err := inParallel(n, func(i int) error {
		err := locks[i].Release(context.Background())
		if err != nil {
			failed.Add(1)
		}
		return err
	}); err != nil {
		f.Error = err.Error()
	}
	f.Giving, f.Errors = time.Since(start), int(failed.Load())
	return f, nil
}

// readyToTake has connections and pools in place before memory is measured: they
// are for the callers, not for the leases.
func readyToTake(l core.Locker, n int) error {
	return inParallel(min(n, 4*leaseCallers), func(i int) error {
		k, err := l.Acquire(context.Background(), fmt.Sprint("warm-up ", i))
		if err != nil {
			return err
		}
		return k.Release(context.Background())
	})
}

// holding waits and measures. others are the goroutines that are not Latchkey's.
func (f *leaseFigures) holding(hold time.Duration, others int) error {
	tick := time.NewTicker(max(hold/60, time.Millisecond))
	defer tick.Stop()
	before, err := machine.CPUTime()
	if err != nil {
		return err
	}
	start := time.Now()
	for time.Since(start) < hold {
		f.Goroutines = max(f.Goroutines, runtime.NumGoroutine()-others)
		<-tick.C
	}
	after, err := machine.CPUTime()
	f.CPU = (after - before).Seconds() / time.Since(start).Seconds()
	return err
}

// inParallel calls do for 0 to n-1 from leaseCallers goroutines, returns when all
// of them have ended, and tells one of their errors.
func inParallel(n int, do func(i int) error) error {
	errs := make([]error, leaseCallers)
	var next atomic.Int64
	var callers sync.WaitGroup
	for c := range leaseCallers {
		callers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil && errs[c] == nil {
					errs[c] = err
				}
			}
		})
	}
	callers.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
