package sdktest

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	lockotel "github.com/latchkey-go/latchkey/otel"
)

func TestHistogramsHaveTheirUnitsAndBuckets(t *testing.T) {
	acquire := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	hold := append(slices.Clone(acquire), 120, 300)
	r := newRig(t)
	r.release(r.acquire(context.Background(), key))
	for name, bounds := range map[string][]float64{
		"dlock.acquire.duration": acquire,
		"dlock.hold.duration":    hold,
	} {
		m, points := r.histogram(name)
		if len(points) != 1 {
			t.Fatalf("%s has %d series, want 1", name, len(points))
		}
		if m.Unit != "s" || m.Description == "" {
			t.Errorf("%s: unit %q, description %q", name, m.Unit, m.Description)
		}
		if !slices.Equal(points[0].Bounds, bounds) {
			t.Errorf("%s: buckets %v, want %v", name, points[0].Bounds, bounds)
		}
	}
}

// From a slow bucket to its trace.
func TestExemplarsLeadToTheLocksSpans(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []lockotel.Option
		// names of the spans that the exemplars lead to
		acquire, hold string
	}{
		{"by default", nil, "acquire " + route, "hold " + route},
		{"with hold as a parent", []lockotel.Option{lockotel.WithHoldAsParent()}, "acquire " + route, "hold " + route},
		{"without our own spans, to the request's", []lockotel.Option{lockotel.WithoutTraces()}, "request", "request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.opts...)
			ctx, request := r.request("request")
			r.release(r.acquire(ctx, key))
			request.End()
			for metric, span := range map[string]string{"dlock.acquire.duration": c.acquire, "dlock.hold.duration": c.hold} {
				expectExemplar(t, r, metric, r.only(span))
			}
		})
	}
}

// expectExemplar wants metric to have one series with one exemplar, span.
func expectExemplar(t testing.TB, r *rig, metric string, span sdktrace.ReadOnlySpan) {
	t.Helper()
	_, points := r.histogram(metric)
	if len(points) != 1 || len(points[0].Exemplars) != 1 {
		t.Fatalf("%s: %+v, want one series with one exemplar", metric, points)
	}
	e := points[0].Exemplars[0]
	traceID, spanID := span.SpanContext().TraceID(), span.SpanContext().SpanID()
	if !slices.Equal(e.TraceID, traceID[:]) || !slices.Equal(e.SpanID, spanID[:]) {
		t.Errorf("%s: the exemplar leads to span %x of trace %x, want %v of %v", metric, e.SpanID, e.TraceID, spanID, traceID)
	}
}

func TestNoExemplarForARequestThatIsNotSampled(t *testing.T) {
	r := newRigSampling(t, sdktrace.NeverSample())
	ctx, _ := r.request("request")
	r.release(r.acquire(ctx, key))
	for _, name := range []string{"dlock.acquire.duration", "dlock.hold.duration"} {
		if _, points := r.histogram(name); len(points) != 1 || len(points[0].Exemplars) != 0 {
			t.Errorf("%s: %+v, want one series without exemplars", name, points)
		}
	}
}

// Keys are unbounded; series must not be. One lock of each kind makes all the
// series there will ever be.
func TestSeriesDoNotGrowWithKeys(t *testing.T) {
	r := newRig(t, lockotel.WithKey())
	lockAndCollide := func(key string) {
		ctx, request := r.request("request")
		defer request.End()
		l := r.acquire(ctx, key)
		if _, err := r.locker.Acquire(ctx, key, core.Wait(0)); err == nil {
			t.Fatal("two holders")
		}
		r.release(l)
	}
	series := func() (n int) {
		for _, name := range []string{"dlock.acquire.duration", "dlock.hold.duration"} {
			_, points := r.histogram(name)
			n += len(points)
			for _, p := range points {
				for _, kv := range p.Attributes.ToSlice() {
					if strings.Contains(kv.Value.String(), "order/") {
						t.Fatalf("%s has a key in %s", name, kv.Key)
					}
				}
			}
		}
		return n
	}
	lockAndCollide("order/0")
	before := series()
	if before != 3 { // acquired, busy; released
		t.Fatalf("%d series, want 3", before)
	}
	for i := range 500 {
		lockAndCollide("order/" + strconv.Itoa(i))
	}
	if after := series(); after != before {
		t.Errorf("%d series after 500 keys, want %d as after one", after, before)
	}
}

func TestManyGoroutinesAreAllCounted(t *testing.T) {
	const goroutines, each = 8, 50
	r := newRig(t)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				ctx, request := r.request("request")
				l, err := r.locker.Acquire(ctx, key, core.Name("route "+strconv.Itoa((g+i)%5)))
				if err != nil {
					t.Error(err)
					return
				}
				if err := l.Release(ctx); err != nil {
					t.Error(err)
				}
				request.End()
			}
		})
	}
	wg.Wait()
	for _, name := range []string{"dlock.acquire.duration", "dlock.hold.duration"} {
		_, points := r.histogram(name)
		var n uint64
		for _, p := range points {
			n += p.Count
		}
		if n != goroutines*each {
			t.Errorf("%s counted %d, want %d", name, n, goroutines*each)
		}
	}
	// Each wait's link leads to an acquire span that exists.
	acquires := make(map[trace.SpanID]bool)
	waited, ended := 0, r.spans.Ended()
	for _, s := range ended {
		if strings.HasPrefix(s.Name(), "acquire ") {
			acquires[s.SpanContext().SpanID()] = true
		}
	}
	if len(acquires) != goroutines*each {
		t.Errorf("%d acquire spans, want %d", len(acquires), goroutines*each)
	}
	for _, s := range ended {
		for _, l := range s.Links() {
			waited++
			if !acquires[l.SpanContext.SpanID()] {
				t.Errorf("a link of %s leads to %v, which is no acquire span", s.Name(), l.SpanContext.SpanID())
			}
		}
	}
	t.Logf("%d links", waited)
}

func TestCountersHaveTheirUnitsAndKinds(t *testing.T) {
	replicas(t, 2, func(t *testing.T, r *rig, _ *locktest.Mini, replica []*core.RedisLocker) {
		first, next := r.on(replica[0]), r.queued(replica[1])
		time.Sleep(5 * time.Second) // renewed
		r.release(first)
		r.release(<-next)
		for name, want := range map[string]struct {
			unit      string
			monotonic bool
		}{
			"dlock.waiter.count": {"{waiter}", false},
			"dlock.held.count":   {"{lock}", false},
			"dlock.handoffs":     {"{handoff}", true},
			"dlock.renewals":     {"{renewal}", true},
		} {
			m, s := r.sum(name)
			if m.Unit != want.unit || m.Description == "" || s.IsMonotonic != want.monotonic {
				t.Errorf("%s: unit %q, description %q, monotonic %v", name, m.Unit, m.Description, s.IsMonotonic)
			}
			// What is read when it is collected was caused by no request.
			if len(s.DataPoints) != 1 || (len(s.DataPoints[0].Exemplars) > 0) != want.monotonic {
				t.Errorf("%s: %+v, want one series, with exemplars if it is a counter", name, s.DataPoints)
			}
		}
	})
}

func TestEachMetricCanBeTurnedOffAlone(t *testing.T) {
	all := []string{
		lockotel.MetricAcquireDuration, lockotel.MetricHoldDuration, lockotel.MetricWaiterCount,
		lockotel.MetricHeldCount, lockotel.MetricHandoffs, lockotel.MetricRenewals,
	}
	for _, off := range all {
		replicas(t, 2, func(t *testing.T, r *rig, _ *locktest.Mini, replica []*core.RedisLocker) {
			first, next := r.on(replica[0]), r.queued(replica[1])
			time.Sleep(5 * time.Second)
			r.release(first)
			r.release(<-next)
			var got []string
			for _, m := range r.metrics() {
				got = append(got, m.Name)
			}
			want := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return name == off })
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("without %s: metrics %v", off, got)
			}
		}, lockotel.WithoutMetrics(off))
	}
}

// A million keys, straight through the observer: each takes its turn in one of the
// calls that core makes.
func TestAMillionKeysMakeNoSeries(t *testing.T) {
	r := newRigSampling(t, sdktrace.NeverSample())
	series := func() (n int) {
		for _, m := range r.metrics() {
			switch d := m.Data.(type) {
			case metricdata.Histogram[float64]:
				n += len(d.DataPoints)
			case metricdata.Sum[int64]:
				n += len(d.DataPoints)
			}
		}
		return n
	}
	ctx := t.Context()
	busy := core.AcquireResult{Err: core.ErrHeld, Info: core.Info{Contended: true}}
	waited := core.AcquireResult{Queued: true, Info: core.Info{Contended: true, Handoff: core.HandoffRemote}}
	lock := &obtained{token: 7}
	calls := []func(core.Attempt){
		func(a core.Attempt) { r.observer.Acquired(ctx, a, busy) },
		func(a core.Attempt) { r.observer.Waiting(ctx, a) },
		func(a core.Attempt) { r.observer.Acquired(ctx, a, waited) },
		func(a core.Attempt) { r.observer.Released(r.observer.Holding(ctx, a, lock), a, core.HoldResult{}) },
		func(a core.Attempt) { r.observer.Renewed(ctx, a, nil) },
	}
	pass := func(i int) {
		a := core.Attempt{Namespace: namespace, Name: route, Key: "order/" + strconv.Itoa(i)}
		calls[i%len(calls)](a)
	}
	for i := range calls {
		pass(i)
	}
	before := series()
	if before != 7 { // busy, acquired; released; waiters, held, handoffs, renewals
		t.Fatalf("%d series after a key each, want 7", before)
	}
	for i := range 1_000_000 {
		pass(i)
	}
	if after := series(); after != before {
		t.Errorf("%d series after a million keys, want %d as before", after, before)
	}
}
