package locktest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

const (
	// awaitTimeout bounds the wait for servers to agree. An election takes
	// about two seconds, and its repetition after a lost vote four more.
	awaitTimeout = 30 * time.Second
	// awaitTick is how often they are asked, and askTimeout how long each may
	// take to answer.
	awaitTick  = 20 * time.Millisecond
	askTimeout = 2 * time.Second
)

// await calls try until it returns nil. After awaitTimeout, or when the test
// is over, the test fails with what try said last and with the servers' view.
func await(tb testing.TB, what string, view func() string, try func(context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), awaitTimeout)
	defer cancel()
	tick := time.NewTicker(awaitTick)
	defer tick.Stop()
	start := time.Now()
	var last error
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		if last == nil || ctx.Err() == nil {
			last = err // not that the time is over: what has taken it
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("locktest: waited %v for %s: %v\n%s", time.Since(start).Round(time.Millisecond), what, last, view())
		}
	}
}

// inParallel calls do for each of the servers at the same time.
func inParallel(servers []*Redis, do func(*Redis) error) error {
	var wg sync.WaitGroup
	failures := make([]error, len(servers))
	for i, r := range servers {
		wg.Go(func() { failures[i] = do(r) })
	}
	wg.Wait()
	return errors.Join(failures...)
}
