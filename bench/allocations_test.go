package main

import (
	"context"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// It is here, where tests run without the race detector, since that allocates, too.
func TestHandoffAllocations(t *testing.T) {
	all, err := workAllocations(locktest.StartRedis(t).Addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.Local < 0.99 {
			t.Errorf("%s: %.3f of the acquisitions were local handoffs; the measurement is of something else", f.Request, f.Local)
		}
		if f.whole() > int(f.Bound) {
			t.Errorf("%s: %.2f allocations, %.2f of them for the parent context; want at most %v", f.Request, f.Each, f.Parent, f.Bound)
		}
	}
	if want := len(requestKinds()); len(all) != want {
		t.Errorf("%d kinds of request were measured; want %d", len(all), want)
	}
}

// BenchmarkHandoff is the same for profiles, the parent context included.
func BenchmarkHandoff(b *testing.B) {
	l, err := core.New(locktest.StartRedis(b).Client(nil), core.WithObserver(core.NopObserver{}))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	for _, k := range requestKinds() {
		b.Run(k.name, func(b *testing.B) {
			shared, cancel := context.WithCancel(b.Context())
			defer cancel()
			b.ReportAllocs()
			b.SetParallelism(handoffCallers)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := k.handoff(l, shared); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
