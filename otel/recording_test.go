package lockotel

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/latchkey-go/latchkey/core"
)

// recorder is a TracerProvider whose spans record, made of nothing but the
// API. What spans look like is tested with the SDK, in examples/sdktest.
type recorder struct {
	tracenoop.TracerProvider
	started atomic.Int32
}

func (r *recorder) Tracer(string, ...trace.TracerOption) trace.Tracer {
	return recordingTracer{recorder: r}
}

type recordingTracer struct {
	tracenoop.Tracer
	recorder *recorder
}

func (t recordingTracer) Start(ctx context.Context, _ string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	t.recorder.started.Add(1)
	span := &recordingSpan{}
	return trace.ContextWithSpan(ctx, span), span
}

// recordingSpan counts the calls that change it.
type recordingSpan struct {
	tracenoop.Span
	touched, ended int
}

func (s *recordingSpan) IsRecording() bool                       { return true }
func (s *recordingSpan) SetAttributes(...attribute.KeyValue)     { s.touched++ }
func (s *recordingSpan) SetStatus(codes.Code, string)            { s.touched++ }
func (s *recordingSpan) AddLink(trace.Link)                      { s.touched++ }
func (s *recordingSpan) AddEvent(string, ...trace.EventOption)   { s.touched++ }
func (s *recordingSpan) RecordError(error, ...trace.EventOption) { s.touched++ }
func (s *recordingSpan) End(...trace.SpanEndOption)              { s.ended++ }

// granted is a lock as Holding is given it.
type granted struct {
	core.Lock
	token uint64
	info  core.Info
}

func (l granted) Token() uint64   { return l.token }
func (l granted) Info() core.Info { return l.info }

// acquireAndRelease makes the calls that core makes for one lock.
func acquireAndRelease(ctx context.Context, o core.Observer, a core.Attempt, l core.Lock) (traceParent string) {
	actx := o.Acquiring(ctx, a)
	traceParent = o.TraceParent(actx)
	o.Acquired(actx, a, core.AcquireResult{Info: l.Info(), Token: l.Token()})
	o.Released(o.Holding(ctx, a, l), a, core.HoldResult{})
	return traceParent
}

// spanContext is the context of a span of somebody else.
func spanContext(flags trace.TraceFlags) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: flags,
	})
}

func newObserver(t testing.TB, opts ...Option) *Observer {
	t.Helper()
	o, err := NewObserver(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func attempt(key string) core.Attempt {
	return core.Attempt{Namespace: "latchkey", Name: "POST /orders/{id}", Key: key, Start: time.Now()}
}
