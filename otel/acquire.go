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

// acquireKey finds this observer's acquire span in a context. The active span
// will not do: where there is no acquire span, that is the request's own, and
// it is not ours to end. A struct of one pointer goes into an interface
// without an allocation.
type acquireKey struct{ observer *Observer }

// Acquiring begins the acquire span, unless ctx's span is not recording.
func (o *Observer) Acquiring(ctx context.Context, a core.Attempt) context.Context {
	if o.runtimeTrace && rtrace.IsEnabled() {
		ctx = o.beginRegion(ctx, o.site(a))
	}
	if o.tracer == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx
	}
	s := o.site(a)
	sctx, span := o.tracer.Start(ctx, s.acquireSpan, o.startOptions(s, a)...)
	if !span.IsRecording() { // no-op provider, or a sampler that drops us alone
		return ctx
	}
	o.acquires.Add(1)
	return context.WithValue(sctx, acquireKey{o}, span)
}

// TraceParent returns the traceparent of the acquire span, if it is sampled.
func (o *Observer) TraceParent(ctx context.Context) string {
	if !o.links {
		return ""
	}
	span := o.acquireSpan(ctx)
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
func (o *Observer) Waiting(ctx context.Context, a core.Attempt) { o.countWaiter(ctx, a, 1) }

func (o *Observer) countWaiter(ctx context.Context, a core.Attempt, n int64) {
	if o.metrics.waiters.Enabled(ctx) {
		o.metrics.waiters.Add(ctx, n, o.site(a).here...)
	}
}

// Acquired ends the acquire span and records what the acquisition came to.
func (o *Observer) Acquired(ctx context.Context, a core.Attempt, r core.AcquireResult) {
	if o.runtimeTrace && rtrace.IsEnabled() {
		o.endRegion(ctx)
	}
	if r.Queued {
		o.countWaiter(ctx, a, -1)
	}
	if r.Info.Handoff != core.HandoffNone && o.metrics.handoffs.Enabled(ctx) {
		o.metrics.handoffs.Add(ctx, 1, o.site(a).addHandoff(r.Info.Handoff)...)
	}
	span := o.acquireSpan(ctx)
	measured := o.metrics.acquireDuration.Enabled(ctx)
	if span == nil && !measured {
		return
	}
	out, errorType := acquireOutcome(r.Err), core.ErrorType(r.Err)
	if measured {
		o.metrics.acquireDuration.Record(ctx, time.Since(a.Start).Seconds(),
			o.site(a).recordAcquire(out, r.Info.Contended, errorType)...)
	}
	if span != nil {
		o.endAcquire(span, r, out, errorType)
		o.acquires.Add(-1)
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

// acquireSpan returns the span that Acquiring began, nil if it began none.
func (o *Observer) acquireSpan(ctx context.Context) trace.Span {
	if o.acquires.Load() == 0 {
		return nil
	}
	span, _ := ctx.Value(acquireKey{o}).(trace.Span)
	return span
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
