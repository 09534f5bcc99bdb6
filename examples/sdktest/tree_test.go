package sdktest

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-go/latchkey/core"
	lockotel "github.com/latchkey-go/latchkey/otel"
)

func TestSpansOfTheHolderStayChildrenOfTheRequest(t *testing.T) {
	r := newRig(t)
	ctx, request := r.request("request")
	l := r.acquire(ctx, key)
	if got := trace.SpanFromContext(l.Context()); got != request {
		t.Errorf("the active span under the lock is not the request's")
	}
	_, work := r.tracer.Start(l.Context(), "work")
	work.End()
	r.release(l)
	if got := r.only("work").Parent().SpanID(); got != request.SpanContext().SpanID() {
		t.Errorf("the parent of the holder's work is %v, want the request's span", got)
	}
}

func TestWithHoldAsParentNestsTheHoldersSpans(t *testing.T) {
	r := newRig(t, lockotel.WithHoldAsParent())
	ctx, request := r.request("request")
	outer := r.acquire(ctx, "outer")
	inner := r.acquire(outer.Context(), "inner")
	_, work := r.tracer.Start(inner.Context(), "work")
	work.End()
	r.release(inner)
	r.release(outer)

	holds, acquires := r.ended("hold "+route), r.ended("acquire "+route)
	if len(holds) != 2 || len(acquires) != 2 {
		t.Fatalf("%d holds and %d acquires, want 2 and 2", len(holds), len(acquires))
	}
	innerHold, outerHold := holds[0], holds[1]
	for _, c := range []struct {
		what string
		span sdktrace.ReadOnlySpan
		want trace.SpanID
	}{
		{"the work", r.only("work"), innerHold.SpanContext().SpanID()},
		{"the inner hold", innerHold, outerHold.SpanContext().SpanID()},
		{"the inner acquire", acquires[1], outerHold.SpanContext().SpanID()},
		{"the outer hold", outerHold, request.SpanContext().SpanID()},
		{"the outer acquire", acquires[0], request.SpanContext().SpanID()},
	} {
		if got := c.span.Parent().SpanID(); got != c.want {
			t.Errorf("the parent of %s is %v, want %v", c.what, got, c.want)
		}
	}
}

func TestNestedLocksHaveTheirOwnSpans(t *testing.T) {
	r := newRig(t, lockotel.WithKey())
	ctx, request := r.request("request")
	outer := r.acquire(ctx, "outer")
	inner := r.acquire(outer.Context(), "inner")
	r.release(outer) // not in order, as code is
	r.release(inner)
	holds := r.ended("hold " + route)
	if len(holds) != 2 {
		t.Fatalf("%d hold spans, want 2", len(holds))
	}
	for i, want := range []string{"outer", "inner"} {
		if got := attributesOf(holds[i].Attributes())["dlock.key"]; got != want {
			t.Errorf("hold %d is of %v, want %s", i, got, want)
		}
		if holds[i].Parent().SpanID() != request.SpanContext().SpanID() {
			t.Errorf("the hold of %s is not a child of the request", want)
		}
	}
}

func TestWithoutANameSpansAreNamedForTheNamespace(t *testing.T) {
	r := newRig(t)
	ctx, _ := r.request("request")
	l, err := r.locker.(named).Locker.Acquire(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	r.release(l)
	for _, name := range []string{"acquire " + namespace, "hold " + namespace} {
		if got := attributesOf(r.only(name).Attributes())["dlock.name"]; got != namespace {
			t.Errorf("%s: dlock.name = %v, want %s", name, got, namespace)
		}
	}
}

func TestFencingTokensAreOnSpansOnlyWhenAskedFor(t *testing.T) {
	// Without WithFencingToken: the outcome tests compare all attributes.
	r := newRig(t, lockotel.WithFencingToken())
	ctx, _ := r.request("request")
	l := r.acquire(ctx, key)
	r.release(l)
	for _, name := range []string{"acquire " + route, "hold " + route} {
		if got := attributesOf(r.only(name).Attributes())["dlock.fencing_token"]; got != int64(l.Token()) {
			t.Errorf("%s: dlock.fencing_token = %v, want %d", name, got, l.Token())
		}
	}
}

// A shadow's outcomes are of a trial, and must not be taken for those of requests.
func TestAGuardInShadowIsTellableApart(t *testing.T) {
	r := newRig(t)
	guard, err := core.NewGuard(r.locker, core.Shadow(nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, _ := r.request("request")
	if err := guard.Run(ctx, key, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"acquire " + route, "hold " + route} {
		if got := attributesOf(r.only(name).Attributes())["dlock.shadow"]; got != true {
			t.Errorf("%s: dlock.shadow = %v, want true", name, got)
		}
	}
	_, points := r.histogram("dlock.acquire.duration")
	pointWith(t, points, attributes{
		"dlock.namespace": namespace, "dlock.name": route, "dlock.shadow": true,
		"dlock.outcome": "acquired", "dlock.contended": false,
	})
}

func TestKeysAreOnSpansOnlyWhenAskedFor(t *testing.T) {
	// Without WithKey: the outcome tests compare all attributes.
	for in, want := range map[string]string{
		key:            key,
		"bin\xffary":   "bin\uFFFDary",
		"größe/\u00e9": "größe/\u00e9",
	} {
		r := newRig(t, lockotel.WithKey())
		ctx, _ := r.request("request")
		r.release(r.acquire(ctx, in))
		for _, name := range []string{"acquire " + route, "hold " + route} {
			if got := attributesOf(r.only(name).Attributes())["dlock.key"]; got != want {
				t.Errorf("%s: dlock.key = %q, want %q", name, got, want)
			}
		}
	}
}

// The sampler decides by what a span is started with.
func TestSamplersSeeWhatIsLocked(t *testing.T) {
	var seen []sdktrace.SamplingParameters
	r := newRigSampling(t, samplerFunc(func(p sdktrace.SamplingParameters) sdktrace.SamplingDecision {
		seen = append(seen, p)
		return sdktrace.RecordAndSample
	}))
	ctx, _ := r.request("request")
	r.release(r.acquire(ctx, key))
	if len(seen) != 3 {
		t.Fatalf("the sampler saw %d spans, want 3", len(seen))
	}
	for _, p := range seen[1:] {
		expectAttributes(t, "at the start of "+p.Name, p.Attributes, place)
	}
}

func TestASamplerMayDropTheLocksSpansAlone(t *testing.T) {
	r := newRigSampling(t, samplerFunc(func(p sdktrace.SamplingParameters) sdktrace.SamplingDecision {
		if p.Name == "request" {
			return sdktrace.RecordAndSample
		}
		return sdktrace.Drop
	}))
	ctx, request := r.request("request")
	l := r.acquire(ctx, key)
	if trace.SpanFromContext(l.Context()) != request {
		t.Error("the request's span is not active under the lock")
	}
	r.release(l)
	if !request.IsRecording() {
		t.Error("the request's span was ended")
	}
	request.End()
	span := r.only("request")
	expectAttributes(t, "request", span.Attributes(), attributes{})
	if n := len(r.spans.Ended()); n != 1 {
		t.Errorf("%d spans, want the request's alone", n)
	}
	for _, name := range []string{"dlock.acquire.duration", "dlock.hold.duration"} {
		expectExemplar(t, r, name, span)
	}
}

func TestNoSpansUnderARequestThatIsNotSampled(t *testing.T) {
	r := newRigSampling(t, sdktrace.NeverSample())
	ctx, _ := r.request("request")
	r.release(r.acquire(ctx, key))
	r.release(r.acquire(context.Background(), key))
	if n := len(r.spans.Started()); n != 0 {
		t.Errorf("%d spans were started, want none", n)
	}
	if _, points := r.histogram("dlock.hold.duration"); len(points) != 1 || points[0].Count != 2 {
		t.Errorf("metrics do not depend on sampling: got %+v", points)
	}
}

func TestWithoutTracesThereAreOnlyMetrics(t *testing.T) {
	r := newRig(t, lockotel.WithoutTraces())
	ctx, request := r.request("request")
	r.release(r.acquire(ctx, key))
	request.End()
	expectAttributes(t, "request", r.only("request").Attributes(), attributes{})
	if n := len(r.spans.Ended()); n != 1 {
		t.Errorf("%d spans, want the request's alone", n)
	}
	if n := len(r.metrics()); n != 4 { // two durations, and how many are held and wait
		t.Errorf("%d metrics, want 4", n)
	}
}

func TestWithoutMetricsThereAreOnlySpans(t *testing.T) {
	r := newRig(t, lockotel.WithoutMetrics())
	ctx, _ := r.request("request")
	r.release(r.acquire(ctx, key))
	r.only("acquire " + route)
	r.only("hold " + route)
	if m := r.metrics(); len(m) != 0 {
		t.Errorf("metrics %v, want none", m)
	}
}

// samplerFunc is a sampler that only decides.
type samplerFunc func(sdktrace.SamplingParameters) sdktrace.SamplingDecision

func (f samplerFunc) Description() string { return "test" }

func (f samplerFunc) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	return sdktrace.SamplingResult{Decision: f(p), Attributes: []attribute.KeyValue{}}
}
