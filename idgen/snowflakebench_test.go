package idgen

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/locktest"
)

// BenchmarkSnowflake runs on a clock that advances by a microsecond with each
// look at it, so that neither the layout's limit nor the window is in the way.
func BenchmarkSnowflake(b *testing.B) {
	rdb := redis.NewClient(&redis.Options{Addr: locktest.StartRedis(b).Addr()})
	b.Cleanup(func() { rdb.Close() })
	fresh := 0
	run := func(name string, f func(b *testing.B, s *Snowflake)) {
		b.Run(name, func(b *testing.B) {
			var ticks atomic.Int64
			start := time.Now()
			fresh++
			s := newSnowflake(b, rdb, KeyPrefix(fmt.Sprint(fresh)), WorkerBits(1), Skew(0), Clock(func() time.Time {
				return start.Add(time.Duration(ticks.Add(1)))
			}))
			if err := s.Check(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			f(b, s)
		})
	}
	run("one", func(b *testing.B, s *Snowflake) {
		for b.Loop() {
			idSink, _ = s.Next(b.Context())
		}
	})
	run("parallel", func(b *testing.B, s *Snowflake) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				s.Next(b.Context())
			}
		})
	})
	run("batch=1000", func(b *testing.B, s *Snowflake) {
		batch := make([]ID, 1000)
		for b.Loop() {
			s.NextN(b.Context(), batch)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch)), "ns/id")
	})
	b.Run("limit", func(b *testing.B) {
		s := newSnowflake(b, rdb)
		if err := s.Check(b.Context()); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			s.Next(b.Context())
		}
	})
}
