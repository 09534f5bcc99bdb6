package lockotel

import (
	"context"
	"testing"

	"github.com/latchkey-go/latchkey/core"
)

// BenchmarkNothingRecorded is one lock's five calls, acquire to release, when
// nothing listens, beside an observer that does nothing: the difference is
// what this one costs. The cost over the SDK is in examples/sdktest.
func BenchmarkNothingRecorded(b *testing.B) {
	run := func(name string, ctx context.Context, o core.Observer) {
		b.Run(name, func(b *testing.B) {
			a := attempt("k")
			var l core.Lock = granted{token: 7}
			b.ReportAllocs()
			for b.Loop() {
				acquireAndRelease(ctx, o, a, l)
			}
		})
	}
	run("core.NopObserver", context.Background(), core.NopObserver{})
	for name, c := range unrecorded(b) {
		run(name, c.ctx, c.o)
	}
}
