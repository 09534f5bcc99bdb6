package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/bench/internal/report"
	"github.com/latchkey-go/latchkey/core"
)

// waiterFigures are what it costs one process to have many waiters in line for
// one key, whose holder is another Locker.
type waiterFigures struct {
	Waiters int `json:"waiters"`
	// HeapEach and StackEach are bytes for one waiter, beyond those of a goroutine
	// that is blocked in a select of two cases.
	HeapEach  float64 `json:"heap_bytes_each"`
	StackEach float64 `json:"stack_bytes_each"`
	Entries   int     `json:"redis_entries"` // in the key's queue
	// Cancelling is from the cancelling of their context until the last Acquire
	// has returned, Bare the same of the goroutines that they are compared with.
	Cancelling time.Duration `json:"cancelling_ns"`
	Bare       time.Duration `json:"bare_ns"`
	Wrong      int           `json:"wrong_outcomes"` // other than the context's error
	// What is left when they are gone.
	EntriesLeft    int     `json:"redis_entries_left"`
	GoroutinesLeft int     `json:"goroutines_left"`
	InLineLeft     int     `json:"in_line_left"`
	HeapLeft       float64 `json:"heap_bytes_left_each"`
}

// leftovers tells what is left, "nothing" if that is so.
func (f *waiterFigures) leftovers() string {
	if f.EntriesLeft == 0 && f.GoroutinesLeft <= 0 && f.InLineLeft == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%d entries, %d goroutines, %d in line", f.EntriesLeft, max(0, f.GoroutinesLeft), f.InLineLeft)
}

func runWaiters(ctx context.Context, b *bench, r *trialResults) error {
	f := new(waiterFigures)
	if err := b.runInWorker(ctx, trialJob{Name: "waiters", Count: b.options.waiters}, time.Minute, f); err != nil {
		return err
	}
	r.Waiters = f
	return nil
}

func waiterTable(r *trialResults) *report.Table {
	f := r.Waiters
	return &report.Table{
		Head: []string{"", "heap each", "stack each", "entries in Redis", "cancelling all", "bare goroutines'", "other outcomes", "left", "heap left each"},
		Rows: [][]string{{
			nameLatchkey, report.InBytes(f.HeapEach), report.InBytes(f.StackEach), fmt.Sprint(f.Entries), report.Short(f.Cancelling), report.Short(f.Bare),
			fmt.Sprint(f.Wrong), f.leftovers(), report.InBytes(f.HeapLeft),
		}},
	}
}

const (
	waitedKey = "waited for"
	// inLineTimeout bounds how long they take to get in line, and out of it.
	inLineTimeout = 20 * time.Second
)

// workWaiters is the worker's side.
func workWaiters(n int, addr string) (*waiterFigures, error) {
	rdb := newClient(circumstances{addrs: []string{addr}, callers: 1})
	defer rdb.Close()
	holders, err := core.New(rdb)
	if err != nil {
		return nil, err
	}
	defer holders.Close()
	l, err := core.New(rdb, core.MaxWaiters(2*n), core.Wait(time.Hour))
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if err := listens(l, holders, rdb); err != nil {
		return nil, err
	}
	held, err := holders.Acquire(context.Background(), waitedKey)
	if err != nil {
		return nil, err
	}
	defer held.Release(context.Background())

	f := &waiterFigures{Waiters: n}
	free := make(chan struct{}) // never sent to
	bare := func(ctx context.Context) error {
		select {
		case <-free:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	started := func(int) error { return nil }
	// Once for the goroutines' own structures, which stay and are used again.
	if _, err := crowd(n, bare, started, func() error { return nil }); err != nil {
		return nil, err
	}
	before, others := settledMemory(), runtime.NumGoroutine()
	var ofBare, ofWaiters memory
	b, err := crowd(n, bare, started, func() error { ofBare = settledMemory().since(before); return nil })
	if err != nil {
		return nil, err
	}

	before = settledMemory()
	w, err := crowd(n, func(ctx context.Context) error {
		k, err := l.Acquire(ctx, waitedKey)
		if err == nil {
			return errors.Join(errors.New("it was granted"), k.Release(context.Background()))
		}
		return err
	}, func(n int) error { return lined(l, n) }, func() (err error) {
		ofWaiters = settledMemory().since(before)
		f.Entries, err = queued(rdb)
		return err
	})
	if err != nil {
		return nil, err
	}
	each := func(all int64) float64 { return float64(all) / float64(n) }
	f.HeapEach, f.StackEach = each(ofWaiters.heap-ofBare.heap), each(ofWaiters.stack-ofBare.stack)
	f.Cancelling, f.Bare, f.Wrong = w.cancelling, b.cancelling, w.wrong

	// The end of the entry in Redis is sent in the background.
	for deadline := time.Now().Add(core.DefaultSettings().TTL / 2); ; time.Sleep(time.Millisecond) {
		if f.EntriesLeft, err = queued(rdb); err != nil {
			return nil, err
		}
		f.GoroutinesLeft = runtime.NumGoroutine() - others
		if f.EntriesLeft == 0 && f.GoroutinesLeft <= 0 || time.Now().After(deadline) {
			break
		}
	}
	f.HeapLeft = each(settledMemory().since(before).heap)
	f.InLineLeft, err = inLine(l)
	return f, err
}

// crowdEnd is how a crowd's calls ended.
type crowdEnd struct {
	cancelling time.Duration // from the cancelling to the last return
	wrong      int           // with something other than the context's error
}

// crowd has n goroutines call wait with one context, calls look when all of them
// wait, as far as arrived tells, and ends them.
func crowd(n int, wait func(context.Context) error, arrived func(n int) error, look func() error) (crowdEnd, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var running sync.WaitGroup
	var started, wrong atomic.Int64
	for range n {
		running.Go(func() {
			started.Add(1)
			if err := wait(ctx); !errors.Is(err, context.Canceled) {
				wrong.Add(1)
			}
		})
	}
	for started.Load() < int64(n) {
		time.Sleep(time.Millisecond)
	}
	err := arrived(n)
	if err == nil {
		err = look()
	}
	start := time.Now()
	cancel()
	running.Wait()
	return crowdEnd{time.Since(start), int(wrong.Load())}, err
}

// listens has l hear of grants before anything is measured.
func listens(l, holders core.Locker, rdb *redis.Client) error {
	const key = "warm-up"
	held, err := holders.Acquire(context.Background(), key)
	if err != nil {
		return err
	}
	var waiting sync.WaitGroup
	var heard error
	waiting.Go(func() {
		k, err := l.Acquire(context.Background(), key)
		if err == nil {
			err = k.Release(context.Background())
		}
		heard = err
	})
	// Only who listens gets a place in line.
	n, err := queued(rdb)
	for deadline := time.Now().Add(inLineTimeout); n == 0 && err == nil; n, err = queued(rdb) {
		if time.Now().After(deadline) {
			err = fmt.Errorf("after %v, nobody is in line", inLineTimeout)
			break
		}
		time.Sleep(time.Millisecond)
	}
	err = errors.Join(err, held.Release(context.Background()))
	waiting.Wait()
	return errors.Join(err, heard)
}

// inLine is how many of l's own requests wait for the key, as one learns that
// does not wait.
func inLine(l core.Locker) (int, error) {
	_, err := l.Acquire(context.Background(), waitedKey, core.Wait(0))
	ae, ok := errors.AsType[*core.AcquireError](err)
	if !ok || !errors.Is(err, core.ErrHeld) {
		return 0, fmt.Errorf("the key is not held: %w", err)
	}
	return ae.Info.Position - 1, nil
}

// lined returns when n of l's requests wait.
func lined(l core.Locker, n int) error {
	for deadline := time.Now().Add(inLineTimeout); ; time.Sleep(time.Millisecond) {
		is, err := inLine(l)
		switch {
		case err != nil || is >= n:
			return err
		case time.Now().After(deadline):
			return fmt.Errorf("after %v, %d of %d are in line", inLineTimeout, is, n)
		}
	}
}

// queued is how many entries all queues in Redis have: sorted sets.
func queued(rdb *redis.Client) (int, error) {
	ctx := context.Background()
	entries := 0
	for keys := rdb.ScanType(ctx, 0, "*", 1000, "zset").Iterator(); ; {
		if !keys.Next(ctx) {
			return entries, keys.Err()
		}
		n, err := rdb.ZCard(ctx, keys.Val()).Result()
		if err != nil {
			return 0, err
		}
		entries += int(n)
	}
}
