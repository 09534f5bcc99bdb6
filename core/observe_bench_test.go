package core

import (
	"context"
	"slices"
	"testing"
	"time"
)

// BenchmarkNoObserver is what it costs that a RedisLocker could have an observer,
// when it has none: its Acquire beside the one that it calls, in short turns.
// "ns-more" is the median of their differences.
func BenchmarkNoObserver(b *testing.B) {
	const turn = 1000
	var held Lock = &brittle{}
	within := lockerFunc(func(context.Context, string, ...AcquireOption) (Lock, error) { return held, nil })
	var direct, l Locker = within, &RedisLocker{observed: Observe(within, nil)}
	turns := func(l Locker) time.Duration {
		start := time.Now()
		for range turn {
			_, _ = l.Acquire(b.Context(), "k")
		}
		return time.Since(start)
	}
	var more []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		d := turns(direct)
		more = append(more, turns(l)-d)
	}
	slices.Sort(more)
	b.ReportMetric(0, "ns/op") // of both: says nothing
	b.ReportMetric(float64(more[len(more)/2])/turn, "ns-more")
}
