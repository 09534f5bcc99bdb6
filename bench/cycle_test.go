package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/latchkey-go/latchkey/core/locktest"
)

// These benchmarks are for profiles and allocations; what the lock must show is
// measured by the command.

// benchCallers is how many callers there are on a machine with two processors;
// RunParallel has a multiple of their number.
const benchCallers = 64

// eachContender runs a benchmark with ours and the peers, on one Redis.
func eachContender(b *testing.B, run func(b *testing.B, l locker)) {
	srv := locktest.StartRedis(b)
	for _, c := range contenders() {
		if c.kind != ours && c.kind != peer {
			continue
		}
		b.Run(c.name, func(b *testing.B) {
			l, err := c.open(circumstances{addrs: []string{srv.Addr()}, callers: benchCallers, poll: defaultPoll})
			if err != nil {
				b.Fatal(err)
			}
			defer l.close()
			b.ReportAllocs()
			run(b, l)
		})
	}
}

// takeAndGiveBack is one cycle.
func takeAndGiveBack(ctx context.Context, l locker, key string) error {
	unlock, err := l.lock(ctx, key)
	if err != nil {
		return err
	}
	return unlock()
}

// BenchmarkCycle is one lock and release by a single caller of a free key.
func BenchmarkCycle(b *testing.B) {
	eachContender(b, func(b *testing.B, l locker) {
		for b.Loop() {
			if err := takeAndGiveBack(b.Context(), l, "k"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDistinctKeys is the same by many callers, each with a key of its own.
func BenchmarkDistinctKeys(b *testing.B) {
	parallel(b, func(i int64) string { return fmt.Sprint("k", i) })
}

// BenchmarkHotKey is many callers of one key with an empty critical section.
func BenchmarkHotKey(b *testing.B) { parallel(b, func(int64) string { return "k" }) }

func parallel(b *testing.B, key func(caller int64) string) {
	eachContender(b, func(b *testing.B, l locker) {
		b.SetParallelism(benchCallers / 2) // of 2 processors
		var callers atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			k := key(callers.Add(1))
			for pb.Next() {
				if err := takeAndGiveBack(b.Context(), l, k); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
