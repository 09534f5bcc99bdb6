package lockotel

import (
	"context"
	rtrace "runtime/trace"

	"github.com/latchkey-go/latchkey/core"
)

// beginRegion begins the region of a wait, if an execution trace is being taken.
// Acquired is called in the goroutine of Acquiring, where a region has to end.
func (o *Observer) beginRegion(ctx context.Context, a core.Attempt) *rtrace.Region {
	if !o.runtimeTrace || !rtrace.IsEnabled() {
		return nil
	}
	return rtrace.StartRegion(ctx, o.site(a).acquireSpan)
}

// beginTask begins the task of a hold, likewise. It is a task because that may end
// in any goroutine; the holder's own regions are shown under it.
func (o *Observer) beginTask(ctx context.Context, a core.Attempt) (context.Context, *rtrace.Task) {
	if !o.runtimeTrace || !rtrace.IsEnabled() {
		return ctx, nil
	}
	return rtrace.NewTask(ctx, o.site(a).holdSpan)
}
