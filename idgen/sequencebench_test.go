package idgen

import (
	"testing"

	"github.com/latchkey-go/latchkey/core/locktest"
)

// With all refills, from a redis-server on the same machine: at this rate one
// fetch in 100,000 numbers.
func BenchmarkSequence(b *testing.B) {
	q := newSequence(b, locktest.StartRedis(b).Client(nil))
	ctx := b.Context()
	for range 1_000_000 { // until segments are large
		mustNumber(b, q)
	}
	b.Run("next", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := q.Next(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("next/parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := q.Next(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("batch=1000", func(b *testing.B) {
		b.ReportAllocs()
		batch := make([]ID, 1000)
		for b.Loop() {
			if _, err := q.NextN(ctx, batch); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch)), "ns/id")
	})
}
