package lockotel

import (
	"context"
	rtrace "runtime/trace"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-go/latchkey/core"
)

// hold is what Holding returns if anything has to end with the lock; it is
// recognized as an acquireContext is.
type hold struct {
	context.Context
	observer *Observer
	span     trace.Span   // nil if there is none
	task     *rtrace.Task // nil if no execution trace was taken
	stack    *heldStack   // nil if it is not in the profile
}

// Holding begins the hold span, unless ctx's span is not recording. The active
// span stays what it is, except with [WithHoldAsParent].
func (o *Observer) Holding(ctx context.Context, a core.Attempt, l core.Lock) context.Context {
	if o.counts != nil {
		o.site(a).here.held.Add(1)
	}
	var h hold
	if o.tracer != nil && trace.SpanFromContext(ctx).IsRecording() {
		s := o.site(a)
		sctx, span := o.tracer.Start(ctx, s.holdSpan, o.startOptions(s, a)...)
		if span.IsRecording() {
			o.describeHold(span, l)
			h.span = span
			if o.holdAsParent {
				ctx = sctx
			}
		}
	}
	if o.profile != nil {
		ctx, h.stack = o.addStack(ctx, a, l)
	}
	ctx, h.task = o.beginTask(ctx, a)
	if h.span == nil && h.stack == nil && h.task == nil {
		return ctx
	}
	h.Context, h.observer = ctx, o
	return new(h)
}

func (o *Observer) describeHold(span trace.Span, l core.Lock) {
	kvs := make([]attribute.KeyValue, 0, 2)
	if o.fencingToken {
		kvs = append(kvs, fencingToken(l.Token()))
	}
	if ttl := l.Info().LeaseTTL; ttl > 0 {
		kvs = append(kvs, leaseDurationKey.Float64(ttl.Seconds()))
	}
	if len(kvs) > 0 {
		span.SetAttributes(kvs...)
	}
}

// Released ends what Holding began, records how long the lock was held, and
// reports one that was lost.
func (o *Observer) Released(ctx context.Context, a core.Attempt, r core.HoldResult) {
	h := o.hold(ctx)
	out := holdOutcome(r.Err)
	mctx := o.within(ctx, h)
	if o.counts != nil {
		o.site(a).here.held.Add(-1)
	}
	if o.metrics.holdDuration.Enabled(mctx) {
		o.metrics.holdDuration.Record(mctx, r.Held.Seconds(), o.site(a).recordHold(out)...)
	}
	if r.Err != nil && o.logger != nil {
		o.logLoss(mctx, a, r)
	}
	if h == nil {
		return
	}
	if h.stack != nil {
		o.profile.Remove(h.stack)
	}
	if h.task != nil {
		h.task.End()
	}
	if h.span != nil {
		if errorType := core.ErrorType(r.Err); errorType != "" {
			h.span.SetAttributes(outcomeKey.String(string(out)), errorTypeKey.String(errorType))
		} else {
			h.span.SetAttributes(outcomeKey.String(string(out)))
		}
		end(h.span, out)
	}
}

// Renewed counts a renewal.
func (o *Observer) Renewed(ctx context.Context, a core.Attempt, err error) {
	if !o.metrics.renewals.Enabled(ctx) {
		return
	}
	mctx := o.within(ctx, o.hold(ctx))
	o.metrics.renewals.Add(mctx, 1, o.site(a).addRenewal(renewalOutcome(err))...)
}

// within returns ctx with the hold span as its active one, for exemplars and log
// records.
func (o *Observer) within(ctx context.Context, h *hold) context.Context {
	if h == nil || h.span == nil || o.holdAsParent {
		return ctx
	}
	return trace.ContextWithSpan(ctx, h.span)
}

// hold returns what Holding began, nil if it began nothing.
func (o *Observer) hold(ctx context.Context) *hold {
	if h, ok := ctx.(*hold); ok && h.observer == o {
		return h
	}
	return nil
}
