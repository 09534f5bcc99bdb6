package main

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/machine"
)

const (
	// chunk is how many IDs are made between two looks at the clock.
	chunk = 10 * batch
	// exhausting is how long a look at the rate takes while a generator's stock
	// is being used up, and patience for how long that may go on.
	exhausting = 200 * time.Millisecond
	patience   = 20 * time.Second
)

// share is what one caller has made, and how long it took.
type share struct {
	ids     int
	elapsed time.Duration
}

// time measures a contender in a scenario, once.
func (m maker) time(s scenario, d time.Duration) (*figures, error) {
	call := m.one
	if s.Batch {
		call = m.batch
	}
	if err := m.warmUp(call, s, d/5); err != nil {
		return nil, err
	}
	runtime.GC() // of what the last one has left
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpuBefore, err := machine.CPUTime()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	shares, err := callers(call, s.Callers, d)
	if err != nil {
		return nil, err
	}
	elapsed := time.Since(start)
	cpuAfter, err := machine.CPUTime()
	if err != nil {
		return nil, err
	}
	runtime.ReadMemStats(&after)
	return newFigures(shares, after.Mallocs-before.Mallocs, float64(cpuAfter-cpuBefore)/float64(elapsed)), nil
}

// warmUp runs for d, or in a case of sustained rates until the generator's stock
// is used up and it is as slow as its layout. That alone does not tell: others may
// keep the machine busy.
func (m maker) warmUp(call func(int) error, s scenario, d time.Duration) error {
	if !s.Sustained {
		_, err := callers(call, s.Callers, d)
		return err
	}
	made := 0
	for end := time.Now().Add(patience); time.Now().Before(end); {
		shares, err := callers(call, s.Callers, exhausting)
		if err != nil {
			return err
		}
		for _, s := range shares {
			made += s.ids
		}
		if made >= m.stock && newFigures(shares, 0, 0).rate() < 1.1*limit {
			return nil
		}
	}
	return fmt.Errorf("after %v still faster than its layout", patience)
}

// callers has n callers make IDs for d.
func callers(call func(int) error, n int, d time.Duration) ([]share, error) {
	shares, errs := make([]share, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { shares[i], errs[i] = calls(call, d) })
	}
	all.Wait()
	return shares, errors.Join(errs...)
}

func calls(call func(int) error, d time.Duration) (share, error) {
	var s share
	for start := time.Now(); s.elapsed < d; s.elapsed = time.Since(start) {
		if err := call(chunk); err != nil {
			return s, err
		}
		s.ids += chunk
	}
	return s, nil
}
