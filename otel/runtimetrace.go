package lockotel

import (
	"context"
	rtrace "runtime/trace"
)

// regionKey finds this observer's region in a context.
type regionKey struct{ observer *Observer }

// beginRegion begins the region of a wait in an execution trace. Acquired is
// called in the goroutine of Acquiring, where a region has to end; a hold may end
// anywhere, and is a task.
func (o *Observer) beginRegion(ctx context.Context, s *site) context.Context {
	return context.WithValue(ctx, regionKey{o}, rtrace.StartRegion(ctx, s.acquireSpan))
}

func (o *Observer) endRegion(ctx context.Context) {
	if r, _ := ctx.Value(regionKey{o}).(*rtrace.Region); r != nil {
		r.End()
	}
}
