// Package stresstest is what the stress tests of the transports share: a Locker on a
// real Redis that must be left empty, and a tally of what was seen.
package stresstest

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// patience is how long what should be gone has to go.
const patience = 30 * time.Second

// Ground is a Locker on a Redis of a test's own.
type Ground struct {
	// Locker is for the test to use, and not to close.
	Locker *core.RedisLocker

	t          *testing.T
	rdb        *redis.Client
	goroutines int // before
}

// Start starts a Redis, as [locktest.StartRedis] does, and a Locker on it.
func Start(t *testing.T) *Ground {
	t.Helper()
	server := locktest.StartRedis(t)
	g := &Ground{t: t, goroutines: runtime.NumGoroutine()}
	g.rdb = redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	var err error
	if g.Locker, err = core.New(g.rdb); err != nil {
		t.Fatal(err)
	}
	return g
}

// WantNothingLeft shuts the Locker down. It fails the test if anything is held,
// waits, or is in Redis but for fencing tokens, or if there are more goroutines than
// before Start.
func (g *Ground) WantNothingLeft() {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	if err := g.Locker.Shutdown(ctx); err != nil {
		g.t.Errorf("Shutdown: %v", err)
	}
	if left := g.Locker.Snapshot(); len(left.Holding) > 0 || len(left.Waiting) > 0 || left.Requests > 0 {
		g.t.Errorf("left in the process: %+v", left)
	}
	names, err := g.rdb.Keys(ctx, "*").Result()
	if err != nil {
		g.t.Error(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ":fence") {
			g.t.Errorf("left in Redis: %s", name)
		}
	}
	_ = g.rdb.Close()
	g.awaitGoroutines(ctx)
}

func (g *Ground) awaitGoroutines(ctx context.Context) {
	g.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for runtime.NumGoroutine() > g.goroutines {
		select {
		case <-tick.C:
		case <-ctx.Done():
			stacks := make([]byte, 1<<20)
			g.t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), g.goroutines, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
