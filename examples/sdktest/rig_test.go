package sdktest

import (
	"context"
	"maps"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	lockotel "github.com/latchkey-go/latchkey/otel"
)

const (
	namespace = "locktest" // the fake's
	route     = "POST /orders/{id}"
	key       = "order/42"
)

// rig is a fake Locker that is observed, and what the SDK records of it.
type rig struct {
	t        testing.TB
	fake     *locktest.Fake
	locker   core.Locker
	observer core.Observer
	tracer   trace.Tracer
	spans    *tracetest.SpanRecorder
	reader   *sdkmetric.ManualReader
}

func newRig(t testing.TB, opts ...lockotel.Option) *rig {
	t.Helper()
	return newRigSampling(t, sdktrace.AlwaysSample(), opts...)
}

func newRigSampling(t testing.TB, sampler sdktrace.Sampler, opts ...lockotel.Option) *rig {
	t.Helper()
	r := newRecording(t, sampler, opts...)
	r.fake = locktest.New()
	r.locker = named{core.Observe(r.fake, r.observer)}
	return r
}

// newRecording returns a rig without a Locker.
func newRecording(t testing.TB, sampler sdktrace.Sampler, opts ...lockotel.Option) *rig {
	t.Helper()
	r := &rig{t: t, spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader()}
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(r.spans))
	r.tracer = tracers.Tracer("test")
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader))
	observer, err := lockotel.NewObserver(append([]lockotel.Option{
		lockotel.WithTracerProvider(tracers), lockotel.WithMeterProvider(meters),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	r.observer = observer
	return r
}

// named gives every acquisition the route's name, as a transport does.
type named struct{ core.Locker }

func (n named) Acquire(ctx context.Context, key string, opts ...core.AcquireOption) (core.Lock, error) {
	return n.Locker.Acquire(ctx, key, append([]core.AcquireOption{core.Name(route)}, opts...)...)
}

// request begins the trace of a request.
func (r *rig) request(name string) (context.Context, trace.Span) {
	return r.tracer.Start(context.Background(), name)
}

// acquire takes the lock or fails the test.
func (r *rig) acquire(ctx context.Context, key string, opts ...core.AcquireOption) core.Lock {
	r.t.Helper()
	l, err := r.locker.Acquire(ctx, key, opts...)
	if err != nil {
		r.t.Fatalf("Acquire(%q): %v", key, err)
	}
	return l
}

func (r *rig) release(l core.Lock) {
	r.t.Helper()
	if err := l.Release(context.Background()); err != nil {
		r.t.Fatalf("Release of %q: %v", l.Key(), err)
	}
}

// waiting begins an Acquire in a goroutine, returns when it is in line, and
// sends the lock when it is granted, or nil when it failed.
func (r *rig) waiting(ctx context.Context, key string, opts ...core.AcquireOption) <-chan core.Lock {
	r.t.Helper()
	granted := make(chan core.Lock, 1)
	n := r.fake.Waiting(key)
	go func() {
		l, _ := r.locker.Acquire(ctx, key, opts...)
		granted <- l
	}()
	if err := r.fake.AwaitWaiting(r.t.Context(), key, n+1); err != nil {
		r.t.Fatal(err)
	}
	return granted
}

// ended returns the ended spans with this name, in the order of their ends.
func (r *rig) ended(name string) []sdktrace.ReadOnlySpan {
	var found []sdktrace.ReadOnlySpan
	for _, s := range r.spans.Ended() {
		if s.Name() == name {
			found = append(found, s)
		}
	}
	return found
}

// only returns the one ended span with this name.
func (r *rig) only(name string) sdktrace.ReadOnlySpan {
	r.t.Helper()
	found := r.ended(name)
	if len(found) != 1 {
		r.t.Fatalf("%d spans %q have ended, want 1", len(found), name)
	}
	return found[0]
}

// dataOf returns a metric and its data, none if there is no such metric.
func dataOf[D metricdata.Aggregation](r *rig, name string) (metricdata.Metrics, D) {
	r.t.Helper()
	var none D
	for _, m := range r.metrics() {
		if m.Name != name {
			continue
		}
		d, ok := m.Data.(D)
		if !ok {
			r.t.Fatalf("%s is a %T", name, m.Data)
		}
		return m, d
	}
	return metricdata.Metrics{}, none
}

// histogram returns the points of a histogram, nil if there is no such metric.
func (r *rig) histogram(name string) (metricdata.Metrics, []metricdata.HistogramDataPoint[float64]) {
	r.t.Helper()
	m, h := dataOf[metricdata.Histogram[float64]](r, name)
	return m, h.DataPoints
}

// pointWith returns the point whose attributes are want, no more and no less.
func pointWith(t testing.TB, points []metricdata.HistogramDataPoint[float64], want attributes) metricdata.HistogramDataPoint[float64] {
	t.Helper()
	var have []attributes
	for _, p := range points {
		a := attributesOf(p.Attributes.ToSlice())
		if maps.Equal(a, want) {
			return p
		}
		have = append(have, a)
	}
	t.Fatalf("no series with the attributes %v among %v", want, have)
	panic("unreachable")
}

// sum returns a counter, with no points if there is no such metric.
func (r *rig) sum(name string) (metricdata.Metrics, metricdata.Sum[int64]) {
	r.t.Helper()
	return dataOf[metricdata.Sum[int64]](r, name)
}

// expectSum wants the series of a counter with exactly these attributes to have the
// value want; a series that is not there has 0.
func (r *rig) expectSum(name string, with attributes, want int64) {
	r.t.Helper()
	_, s := r.sum(name)
	var got int64
	for _, p := range s.DataPoints {
		if maps.Equal(attributesOf(p.Attributes.ToSlice()), with) {
			got = p.Value
		}
	}
	if got != want {
		r.t.Errorf("%s %v = %d, want %d", name, with, got, want)
	}
}

// metrics returns what is recorded under the observer's scope.
func (r *rig) metrics() []metricdata.Metrics {
	r.t.Helper()
	var rm metricdata.ResourceMetrics
	if err := r.reader.Collect(context.Background(), &rm); err != nil {
		r.t.Fatal(err)
	}
	for _, sm := range rm.ScopeMetrics {
		if sm.Scope.Name == lockotel.ScopeName {
			return sm.Metrics
		}
	}
	return nil
}

// attributes is what a span, link or point is expected to have, exactly.
type attributes map[string]any

func attributesOf(kvs []attribute.KeyValue) attributes {
	m := make(attributes, len(kvs))
	for _, kv := range kvs {
		m[string(kv.Key)] = kv.Value.AsInterface()
	}
	return m
}

// with returns a with others over it.
func (a attributes) with(others attributes) attributes {
	m := maps.Clone(a)
	maps.Copy(m, others)
	return m
}

// expectAttributes reports every attribute that is missing, differs or is too
// many.
func expectAttributes(t testing.TB, what string, got []attribute.KeyValue, want attributes) {
	t.Helper()
	have := attributesOf(got)
	if len(have) != len(got) {
		t.Errorf("%s: an attribute is there twice: %v", what, got)
	}
	for _, k := range slices.Sorted(maps.Keys(want.with(have))) {
		g, there := have[k]
		w, wanted := want[k]
		switch {
		case !there:
			t.Errorf("%s: %s is missing, want %v", what, k, w)
		case !wanted:
			t.Errorf("%s: %s = %v, want none", what, k, g)
		case g != w:
			t.Errorf("%s: %s = %v (%T), want %v (%T)", what, k, g, g, w, w)
		}
	}
}
