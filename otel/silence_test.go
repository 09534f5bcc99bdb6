package lockotel

import (
	"context"
	"testing"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/latchkey-go/latchkey/core"
)

func TestNoSpanWhereTheLocalParentIsNotRecording(t *testing.T) {
	for name, ctx := range map[string]context.Context{
		"no parent":                 context.Background(),
		"unsampled local parent":    trace.ContextWithSpanContext(context.Background(), spanContext(0)),
		"sampled but remote parent": trace.ContextWithRemoteSpanContext(context.Background(), spanContext(trace.FlagsSampled)),
	} {
		t.Run(name, func(t *testing.T) {
			var r recorder
			o := newObserver(t, WithTracerProvider(&r))
			if tp := acquireAndRelease(ctx, o, attempt("k"), granted{token: 1}); tp != "" {
				t.Errorf("TraceParent = %q, want none", tp)
			}
			if n := r.started.Load(); n != 0 {
				t.Errorf("%d spans were started, want none", n)
			}
		})
	}

	// The same calls do start spans under a parent that records.
	var r recorder
	o := newObserver(t, WithTracerProvider(&r))
	ctx := trace.ContextWithSpan(context.Background(), &recordingSpan{})
	acquireAndRelease(ctx, o, attempt("k"), granted{token: 1})
	if n := r.started.Load(); n != 2 {
		t.Errorf("%d spans were started under a recording parent, want 2", n)
	}
}

func TestTheRequestsOwnSpanIsNeverTouched(t *testing.T) {
	for name, option := range map[string]Option{
		"with spans":       WithTracerProvider(&recorder{}),
		"without traces":   WithoutTraces(),
		"no-op provider":   WithTracerProvider(tracenoop.NewTracerProvider()),
		"hold as a parent": WithHoldAsParent(),
	} {
		t.Run(name, func(t *testing.T) {
			request := &recordingSpan{}
			ctx := trace.ContextWithSpan(context.Background(), request)
			o := newObserver(t, option)
			a := attempt("k")
			contended := core.Info{Contended: true, Blocker: &core.Holder{Meta: core.Meta{TraceParent: validTraceParent}}}
			acquireAndRelease(ctx, o, a, granted{token: 1, info: contended})
			actx := o.Acquiring(ctx, a)
			o.Acquired(actx, a, core.AcquireResult{Err: core.ErrBackend, Info: contended})
			o.Released(o.Holding(ctx, a, granted{}), a, core.HoldResult{Err: core.ErrLost})
			if request.touched != 0 || request.ended != 0 {
				t.Errorf("the request's span was changed %d times and ended %d times", request.touched, request.ended)
			}
		})
	}
}

func TestAnInnerLockDoesNotEndTheOuterLocksHold(t *testing.T) {
	o := newObserver(t, WithTracerProvider(&recorder{}))
	request := trace.ContextWithSpan(context.Background(), &recordingSpan{})
	outer, inner := attempt("outer"), attempt("inner")

	held := o.Holding(request, outer, granted{token: 1})
	span := held.(*hold).span.(*recordingSpan)

	// What the handler does from here on is not sampled, so the inner lock
	// has no hold span, and the nearest one in its context is the outer's.
	unsampled := trace.ContextWithSpanContext(held, spanContext(0))
	innerHeld := o.Holding(unsampled, inner, granted{token: 2})
	o.Released(innerHeld, inner, core.HoldResult{})
	if span.ended != 0 {
		t.Fatal("the release of the inner lock ended the outer lock's hold span")
	}
	o.Released(held, outer, core.HoldResult{})
	if span.ended != 1 {
		t.Fatalf("the outer hold span was ended %d times, want once", span.ended)
	}
}

func TestTwoObserversOfOneLockerKeepApart(t *testing.T) {
	var r1, r2 recorder
	o1, o2 := newObserver(t, WithTracerProvider(&r1)), newObserver(t, WithTracerProvider(&r2))
	request := trace.ContextWithSpan(context.Background(), &recordingSpan{})
	a := attempt("k")

	ctx1 := o1.Holding(request, a, granted{})
	ctx2 := o2.Holding(ctx1, a, granted{})
	span1, span2 := ctx1.(*hold).span.(*recordingSpan), ctx2.(*hold).span.(*recordingSpan)
	o1.Released(ctx2, a, core.HoldResult{}) // which is not its own
	if span1.ended != 0 || span2.ended != 0 {
		t.Fatalf("ended %d and %d times, want neither", span1.ended, span2.ended)
	}
	o1.Released(ctx1, a, core.HoldResult{})
	if span1.ended != 1 || span2.ended != 0 {
		t.Fatalf("ended %d and %d times, want 1 and 0", span1.ended, span2.ended)
	}
}

// unrecorded are the contexts and providers with which nothing is recorded.
func unrecorded(t testing.TB) map[string]struct {
	ctx context.Context
	o   *Observer
} {
	noop := newObserver(t, WithTracerProvider(tracenoop.NewTracerProvider()), WithMeterProvider(metricnoop.NewMeterProvider()))
	spans := newObserver(t, WithTracerProvider(&recorder{}), WithMeterProvider(metricnoop.NewMeterProvider()))
	unsampled := trace.ContextWithSpanContext(context.Background(), spanContext(0))
	deep := unsampled
	for i := range 8 {
		deep = context.WithValue(deep, layer(i), i)
	}
	return map[string]struct {
		ctx context.Context
		o   *Observer
	}{
		"no-op providers":        {context.Background(), noop},
		"global providers unset": {context.Background(), newObserver(t)},
		"unsampled parent":       {unsampled, spans},
		"unsampled, 8 deep":      {deep, spans},
		"without everything":     {unsampled, newObserver(t, WithoutTraces(), WithoutMetrics())},
	}
}

// layer is the key of what middleware before us put into a context.
type layer int

func TestNothingIsAllocatedWhenNothingIsRecorded(t *testing.T) {
	for name, c := range unrecorded(t) {
		t.Run(name, func(t *testing.T) {
			a := attempt("k")
			var l core.Lock = granted{token: 7, info: core.Info{Contended: true, Position: 3}}
			failed := core.AcquireResult{Err: &core.AcquireError{Key: "k", Err: core.ErrWaitTimeout}}
			allocs := testing.AllocsPerRun(100, func() {
				acquireAndRelease(c.ctx, c.o, a, l)
				c.o.Acquired(c.o.Acquiring(c.ctx, a), a, failed)
			})
			if allocs != 0 {
				t.Errorf("%v allocations, want 0", allocs)
			}
		})
	}
}
