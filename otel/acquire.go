package lockotel

import (
	"context"
	rtrace "runtime/trace"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-go/latchkey/core"
)

// acquireContext is what Acquiring returns if it began anything. core gives this very
// context to the calls that follow, so that it is recognized without a walk to the
// root of the context, 5 to 30 ns each, which where little is sampled would be most
// of the cost. The active span will not do: where there is no acquire span, that is
// the request's own, and it is not ours to end.
type acquireContext struct {
	context.Context
	observer *Observer
	span     trace.Span     // nil if there is none
	region   *rtrace.Region // nil if no execution trace was taken
}

// Acquiring begins the acquire span, unless ctx's span is not recording.
func (o *Observer) Acquiring(ctx context.Context, a core.Attempt) context.Context {
	region := o.beginRegion(ctx, a)
	if o.tracer != nil && trace.SpanFromContext(ctx).IsRecording() {
		s := o.site(a)
		sctx, span := o.tracer.Start(ctx, s.acquireSpan, o.startOptions(s, a)...)
		if span.IsRecording() { // else a no-op provider, or a sampler that drops us alone
			return &acquireContext{sctx, o, span, region}
		}
	}
	if region != nil {
		return &acquireContext{ctx, o, nil, region}
	}
	return ctx
}

// begun returns what Acquiring began, nothing if it began nothing.
func (o *Observer) begun(ctx context.Context) (trace.Span, *rtrace.Region) {
	if c, ok := ctx.(*acquireContext); ok && c.observer == o {
		return c.span, c.region
	}
	return nil, nil
}

// TraceParent returns the traceparent of the acquire span, if it is sampled.
func (o *Observer) TraceParent(ctx context.Context) string {
	if !o.links {
		return ""
	}
	span, _ := o.begun(ctx)
	if span == nil {
		return ""
	}
	sc := span.SpanContext()
	if !sc.IsValid() || !sc.IsSampled() {
		return ""
	}
	return sampledTraceParent(sc)
}

// Waiting counts the request among those in line.
func (o *Observer) Waiting(_ context.Context, a core.Attempt) {
	if o.counts != nil {
		o.site(a).here.waiting.Add(1)
	}
}

// Acquired ends the acquire span and records what the acquisition came to.
func (o *Observer) Acquired(ctx context.Context, a core.Attempt, r core.AcquireResult) {
	span, region := o.begun(ctx)
	if region != nil {
		region.End()
	}
	if r.Queued && o.counts != nil {
		o.site(a).here.waiting.Add(-1)
	}
	passed := r.Info.Handoff != core.HandoffNone && o.metrics.handoffs.Enabled(ctx)
	measured := o.metrics.acquireDuration.Enabled(ctx)
	if span == nil && !passed && !measured {
		return
	}
	s, out, errorType := o.site(a), acquireOutcome(r.Err), core.ErrorType(r.Err)
	if passed {
		o.metrics.handoffs.Add(ctx, 1, s.addHandoff(r.Info.Handoff)...)
	}
	if measured {
		o.metrics.acquireDuration.Record(ctx, time.Since(a.Start).Seconds(),
			s.recordAcquire(out, r.Info.Contended, errorType)...)
	}
	if span != nil {
		o.endAcquire(span, r, out, errorType)
	}
}

func (o *Observer) endAcquire(span trace.Span, r core.AcquireResult, out outcome, errorType string) {
	n := 5
	if r.Info.Contended {
		n = 8
	}
	kvs := make([]attribute.KeyValue, 0, n)
	kvs = append(kvs, outcomeKey.String(string(out)), contendedKey.Bool(r.Info.Contended))
	if errorType != "" {
		kvs = append(kvs, errorTypeKey.String(errorType))
	}
	if r.Err == nil && o.fencingToken {
		kvs = append(kvs, fencingToken(r.Token))
	}
	if r.Info.LeaseTTL > 0 {
		kvs = append(kvs, leaseDurationKey.Float64(r.Info.LeaseTTL.Seconds()))
	}
	if r.Info.Contended {
		kvs = o.appendContention(kvs, span, r.Info)
	}
	span.SetAttributes(kvs...)
	end(span, out)
}

func (o *Observer) appendContention(kvs []attribute.KeyValue, span trace.Span, info core.Info) []attribute.KeyValue {
	if info.Position > 0 {
		// The third in line has two waiters and the holder before it.
		kvs = append(kvs, queuePositionKey.Int(info.Position), blockedByCountKey.Int(info.Position))
	}
	if info.Handoff != core.HandoffNone {
		kvs = append(kvs, handoffKey.String(info.Handoff.String()))
	}
	if o.links {
		if id := linkBlockers(span, info); id != "" {
			kvs = append(kvs, blockedByTraceIDKey.String(id))
		}
	}
	return kvs
}

func (o *Observer) startOptions(s *site, a core.Attempt) []trace.SpanStartOption {
	if !o.key {
		return s.start
	}
	key := strings.ToValidUTF8(a.Key, "\uFFFD")
	return append(slices.Clip(s.start), trace.WithAttributes(lockKeyKey.String(key)))
}

// fencingToken does not overflow: Redis counts in signed 64 bits, too.
func fencingToken(token uint64) attribute.KeyValue {
	return fencingTokenKey.Int64(int64(token))
}

func end(span trace.Span, out outcome) {
	if description := out.fault(); description != "" {
		span.SetStatus(codes.Error, description)
	}
	span.End()
}
