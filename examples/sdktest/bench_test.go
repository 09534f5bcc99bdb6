package sdktest

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-go/latchkey/core"
	lockotel "github.com/latchkey-go/latchkey/otel"
)

// BenchmarkLock is what one lock costs, acquire to release, in telemetry
// alone: our observer beside the same spans and measurements written out by
// hand against the SDK, which knows in advance all that is prepared here.
func BenchmarkLock(b *testing.B) {
	free := core.Info{LeaseTTL: 10 * time.Second}
	contended := core.Info{
		Contended: true, Position: 1, Handoff: core.HandoffRemote, LeaseTTL: 10 * time.Second,
		Blocker:     &core.Holder{Meta: core.Meta{TraceParent: elsewhere}},
		Predecessor: &core.Holder{Meta: core.Meta{TraceParent: elsewhere}},
	}
	for _, c := range []struct {
		name    string
		info    core.Info
		sampled bool
		opts    []lockotel.Option
	}{
		{"metrics only", free, false, nil},
		{"metrics only, contended", contended, false, nil},
		{"spans only", free, true, []lockotel.Option{lockotel.WithoutMetrics()}},
		{"spans and metrics", free, true, nil},
		{"spans, metrics and a link", contended, true, nil},
	} {
		p := newProviders()
		observer, err := lockotel.NewObserver(append(c.opts,
			lockotel.WithTracerProvider(p.tracers), lockotel.WithMeterProvider(p.meters))...)
		if err != nil {
			b.Fatal(err)
		}
		raw := newRaw(b, p)
		raw.measure = len(c.opts) == 0
		ctx := context.Background()
		if c.sampled {
			ctx, _ = p.tracers.Tracer("bench").Start(ctx, "request")
		}
		l := &obtained{token: 7, info: c.info}
		b.Run(c.name+"/raw SDK", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				raw.lock(ctx, l)
			}
		})
		b.Run(c.name+"/observer", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				observe(ctx, observer, l)
			}
		})
		// Two runs one after the other differ by more than the two
		// candidates do, on a machine that does anything else. Turns that
		// are short and alternate meet the same machine.
		b.Run(c.name+"/ratio", func(b *testing.B) {
			const turn = 100
			var ratios []float64
			for b.Loop() {
				start := time.Now()
				for range turn {
					raw.lock(ctx, l)
				}
				middle := time.Now()
				for range turn {
					observe(ctx, observer, l)
				}
				ratios = append(ratios, float64(time.Since(middle))/float64(middle.Sub(start)))
			}
			slices.Sort(ratios)
			b.ReportMetric(0, "ns/op") // of both: says nothing
			b.ReportMetric(ratios[len(ratios)/2], "×raw")
		})
	}
}

// observe makes the calls that core makes for one lock.
func observe(ctx context.Context, o core.Observer, l core.Lock) {
	a := core.Attempt{Namespace: namespace, Name: route, Key: key, Start: time.Now()}
	actx := o.Acquiring(ctx, a)
	o.TraceParent(actx)
	info := l.Info()
	if info.Contended {
		o.Waiting(actx, a)
	}
	o.Acquired(actx, a, core.AcquireResult{Info: info, Token: l.Token(), Queued: info.Contended})
	hctx := o.Holding(ctx, a, l)
	o.Released(hctx, a, core.HoldResult{Held: time.Millisecond})
}

// obtained is a lock as an observer sees it.
type obtained struct {
	core.Lock
	token uint64
	info  core.Info
}

func (l *obtained) Token() uint64   { return l.token }
func (l *obtained) Info() core.Info { return l.info }

type providers struct {
	tracers *sdktrace.TracerProvider
	meters  *sdkmetric.MeterProvider
}

func newProviders() providers {
	return providers{
		// A processor makes spans complete; this one is the end of them.
		tracers: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(discard{})),
		meters:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())),
	}
}

type discard struct{}

func (discard) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (discard) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (discard) Shutdown(context.Context) error                  { return nil }
func (discard) ForceFlush(context.Context) error                { return nil }

// rawSDK is the telemetry of one route's locks, by hand.
type rawSDK struct {
	tracer            trace.Tracer
	acquire, hold     metric.Float64Histogram
	waiters, held     atomic.Int64
	handoffs          metric.Int64Counter
	acquired, release []metric.RecordOption
	remote            []metric.AddOption
	start             []trace.SpanStartOption
	roles             []attribute.KeyValue
	measure           bool
}

func newRaw(b *testing.B, p providers) *rawSDK {
	meter := p.meters.Meter("raw")
	histogram := func(name string) metric.Float64Histogram {
		h, err := meter.Float64Histogram(name)
		if err != nil {
			b.Fatal(err)
		}
		return h
	}
	handoffs, err := meter.Int64Counter("raw.handoffs")
	if err != nil {
		b.Fatal(err)
	}
	space := attribute.String("dlock.namespace", namespace)
	return &rawSDK{
		tracer:   p.tracers.Tracer("raw"),
		acquire:  histogram("raw.acquire.duration"),
		hold:     histogram("raw.hold.duration"),
		handoffs: handoffs,
		remote: []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(
			space, attribute.String("dlock.handoff", "remote")))},
		acquired: []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(
			attribute.String("dlock.namespace", namespace), attribute.String("dlock.name", route),
			attribute.String("dlock.outcome", "acquired"), attribute.Bool("dlock.contended", false)))},
		release: []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(
			attribute.String("dlock.namespace", namespace), attribute.String("dlock.name", route),
			attribute.String("dlock.outcome", "released")))},
		start: []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindInternal), trace.WithAttributes(
			attribute.String("dlock.namespace", namespace), attribute.String("dlock.name", route),
			attribute.String("dlock.system.name", "redis"))},
		roles: []attribute.KeyValue{attribute.StringSlice("dlock.blocked_by.roles", []string{"holder", "predecessor"})},
	}
}

func (r *rawSDK) lock(ctx context.Context, l *obtained) {
	start := time.Now()
	sampled := trace.SpanFromContext(ctx).IsRecording()
	actx, span := ctx, trace.Span(nil)
	if sampled {
		actx, span = r.tracer.Start(ctx, "acquire "+route, r.start...)
		sc := span.SpanContext()
		_ = "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-01"
	}
	if r.measure {
		if l.info.Contended {
			r.waiters.Add(1)
			r.waiters.Add(-1)
			r.handoffs.Add(actx, 1, r.remote...)
		}
		r.acquire.Record(actx, time.Since(start).Seconds(), r.acquired...)
	}
	if sampled {
		if l.info.Contended {
			traceID, _ := trace.TraceIDFromHex(elsewhereTrace)
			spanID, _ := trace.SpanIDFromHex(elsewhereSpan)
			sc := trace.NewSpanContext(trace.SpanContextConfig{
				TraceID: traceID, SpanID: spanID, TraceFlags: trace.FlagsSampled, Remote: true,
			})
			span.AddLink(trace.Link{SpanContext: sc, Attributes: r.roles})
			span.SetAttributes(
				attribute.String("dlock.outcome", "acquired"), attribute.Bool("dlock.contended", true),
				attribute.Float64("dlock.lease.duration", 10),
				attribute.Int("dlock.queue.position", 1), attribute.Int("dlock.blocked_by.count", 1),
				attribute.String("dlock.handoff", "remote"), attribute.String("dlock.blocked_by.trace_id", sc.TraceID().String()))
		} else {
			span.SetAttributes(
				attribute.String("dlock.outcome", "acquired"), attribute.Bool("dlock.contended", false),
				attribute.Float64("dlock.lease.duration", 10))
		}
		span.End()
	}
	hctx := ctx
	if sampled {
		hctx, span = r.tracer.Start(ctx, "hold "+route, r.start...)
		span.SetAttributes(attribute.Float64("dlock.lease.duration", 10))
	}
	if r.measure {
		r.held.Add(1)
		r.held.Add(-1)
		r.hold.Record(hctx, time.Millisecond.Seconds(), r.release...)
	}
	if sampled {
		span.SetAttributes(attribute.String("dlock.outcome", "released"))
		span.End()
	}
}

// Metrics are recorded for every request, sampled or not: they must not make
// garbage.
func TestMetricsDoNotAllocate(t *testing.T) {
	p := newProviders()
	observer, err := lockotel.NewObserver(lockotel.WithTracerProvider(p.tracers), lockotel.WithMeterProvider(p.meters))
	if err != nil {
		t.Fatal(err)
	}
	var l core.Lock = &obtained{token: 7, info: core.Info{Contended: true, Position: 2}}
	ctx := context.Background()
	observe(ctx, observer, l) // prepares
	if n := testing.AllocsPerRun(200, func() { observe(ctx, observer, l) }); n != 0 {
		t.Errorf("%v allocations per lock, want 0", n)
	}
}
