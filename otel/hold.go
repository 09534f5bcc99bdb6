package lockotel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-go/latchkey/core"
)

// holdKey finds the hold in a context.
type holdKey struct{ observer *Observer }

// hold is a hold span and whose it is.
type hold struct {
	attempt core.Attempt
	span    trace.Span
}

// Holding begins the hold span, unless ctx's span is not recording. The active
// span stays what it is, except with [WithHoldAsParent].
func (o *Observer) Holding(ctx context.Context, a core.Attempt, l core.Lock) context.Context {
	if o.tracer == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx
	}
	s := o.site(a)
	sctx, span := o.tracer.Start(ctx, s.holdSpan, o.startOptions(s, a)...)
	if !span.IsRecording() {
		return ctx
	}
	o.holds.Add(1)
	kvs := make([]attribute.KeyValue, 1, 2)
	kvs[0] = fencingToken(l.Token())
	if ttl := l.Info().LeaseTTL; ttl > 0 {
		kvs = append(kvs, leaseDurationKey.Float64(ttl.Seconds()))
	}
	span.SetAttributes(kvs...)
	if o.holdAsParent {
		ctx = sctx
	}
	return context.WithValue(ctx, holdKey{o}, &hold{attempt: a, span: span})
}

// Released ends the hold span and records dlock.hold.duration.
func (o *Observer) Released(ctx context.Context, a core.Attempt, r core.HoldResult) {
	h := o.hold(ctx, a)
	out := holdOutcome(r.Err)
	if o.holdDuration.Enabled(ctx) {
		mctx := ctx
		if h != nil && !o.holdAsParent {
			mctx = trace.ContextWithSpan(ctx, h.span) // for exemplars
		}
		o.holdDuration.Record(mctx, r.Held.Seconds(), o.site(a).recordHold(out)...)
	}
	if h == nil {
		return
	}
	if errorType := core.ErrorType(r.Err); errorType != "" {
		h.span.SetAttributes(outcomeKey.String(string(out)), errorTypeKey.String(errorType))
	} else {
		h.span.SetAttributes(outcomeKey.String(string(out)))
	}
	end(h.span, out)
	o.holds.Add(-1)
}

// hold returns what Holding began for a, nil if it began nothing.
func (o *Observer) hold(ctx context.Context, a core.Attempt) *hold {
	if o.holds.Load() == 0 {
		return nil
	}
	h, _ := ctx.Value(holdKey{o}).(*hold)
	// A lock that is taken under another one, but whose own hold is not
	// recorded, sees the outer one's hold. Start tells the two apart, and
	// equal instants do not matter: nobody takes one key twice in a chain of
	// calls.
	if h == nil || h.attempt != a {
		return nil
	}
	return h
}
