package lockotel

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
)

// BenchmarkNothingRecorded is one lock's five calls, acquire to release, when
// nothing listens, beside an observer that does nothing: "ns-more" is what this
// one costs. The two take short turns, so that they meet the same machine, and the
// median of the turns counts. The cost over the SDK is in examples/sdktest.
func BenchmarkNothingRecorded(b *testing.B) {
	const turn = 1000
	for name, c := range unrecorded(b) {
		b.Run(name, func(b *testing.B) {
			a := attempt("k")
			var l core.Lock = granted{token: 7}
			turns := func(o core.Observer, ctx context.Context) time.Duration {
				start := time.Now()
				for range turn {
					acquireAndRelease(ctx, o, a, l)
				}
				return time.Since(start)
			}
			var more []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				nothing := turns(core.NopObserver{}, c.ctx)
				more = append(more, turns(c.o, c.ctx)-nothing)
			}
			slices.Sort(more)
			b.ReportMetric(0, "ns/op") // of both: says nothing
			b.ReportMetric(float64(more[len(more)/2])/turn, "ns-more")
		})
	}
}
