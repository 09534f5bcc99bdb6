package sdktest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-go/latchkey/core"
	lockotel "github.com/latchkey-go/latchkey/otel"
)

// Three requests wait in a row for a fourth: each links to the one directly
// before it and to the one that held the lock when it came.
func TestEachOfThreeWaitersLinksToItsPredecessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ctx, _ := r.request("request")
		first := r.acquire(ctx, key)
		var waiters []<-chan core.Lock
		for range 3 {
			ctx, _ := r.request("request") // a trace of its own
			waiters = append(waiters, r.waiting(ctx, key))
		}
		r.release(first)
		for _, w := range waiters {
			r.release(<-w)
		}

		acquires := r.ended("acquire " + route) // in the order of the grants
		if len(acquires) != 4 {
			t.Fatalf("%d acquire spans, want 4", len(acquires))
		}
		if n := len(acquires[0].Links()); n != 0 {
			t.Errorf("the first holder waited for nobody but has %d links", n)
		}
		expectChain(t, acquires)
		for i, span := range acquires[1:] {
			predecessor := acquires[i].SpanContext()
			if span.SpanContext().TraceID() == predecessor.TraceID() {
				t.Fatal("the requests are not traces of their own")
			}
			expectAttributes(t, "acquire", span.Attributes(), place.with(attributes{
				"dlock.outcome":             "acquired",
				"dlock.contended":           true,
				"dlock.queue.position":      int64(i + 1),
				"dlock.blocked_by.count":    int64(i + 1),
				"dlock.blocked_by.trace_id": predecessor.TraceID().String(),
				"dlock.handoff":             "local",
				"dlock.lease.duration":      10.0,
			}))
		}
		for _, hold := range r.ended("hold " + route) {
			if len(hold.Links()) != 0 {
				t.Error("a hold span has links")
			}
		}
	})
}

// A wait that fails never had a predecessor.
func TestAWaitThatFailsLinksToTheHolder(t *testing.T) {
	r := newRig(t)
	ctx, _ := r.request("request")
	defer r.release(r.acquire(ctx, key))
	holder := r.only("acquire " + route).SpanContext()
	other, _ := r.request("request")
	fails(r, other, core.ErrHeld, core.Wait(0))
	span := r.ended("acquire " + route)[1]
	expectLinks(t, span, link{holder, []string{"holder"}})
	if got := attributesOf(span.Attributes())["dlock.blocked_by.trace_id"]; got != holder.TraceID().String() {
		t.Errorf("dlock.blocked_by.trace_id = %v, want the holder's", got)
	}
}

// A Locker may fill in more than it needs to.
func TestAnAcquisitionThatWasNotContendedWasBlockedByNobody(t *testing.T) {
	r := newRig(t)
	elsewhere := &core.Holder{Meta: core.Meta{TraceParent: elsewhere}}
	talkative := core.Info{Position: 1, Handoff: core.HandoffRemote, Blocker: elsewhere, Predecessor: elsewhere}
	ctx, _ := r.request("request")
	observe(ctx, r.observer, &obtained{token: 7, info: talkative})
	span := r.only("acquire " + route)
	expectLinks(t, span)
	expectAttributes(t, "acquire", span.Attributes(), place.with(attributes{
		"dlock.outcome": "acquired", "dlock.contended": false,
	}))
}

// What another process stored is data: it is either a traceparent or nothing.
func TestMalformedTraceParentsOfHoldersAreIgnored(t *testing.T) {
	for _, tp := range []string{
		"", "x", "00-" + elsewhereTrace + "-" + elsewhereSpan + "-00", // not sampled
		"00-00000000000000000000000000000000-" + elsewhereSpan + "-01",
		elsewhere + "\n", "<script>", "ff" + elsewhere[2:],
	} {
		r := newRig(t)
		r.fake.Hold(key, core.WithMeta(core.Meta{TraceParent: tp}))
		ctx, _ := r.request("request")
		fails(r, ctx, core.ErrHeld, core.Wait(0))
		span := r.only("acquire " + route)
		expectLinks(t, span)
		got := attributesOf(span.Attributes())
		if id, ok := got["dlock.blocked_by.trace_id"]; ok {
			t.Errorf("traceparent %q: dlock.blocked_by.trace_id = %v, want none", tp, id)
		}
		if got["dlock.blocked_by.count"] != int64(1) {
			t.Errorf("traceparent %q: dlock.blocked_by.count = %v, want 1", tp, got["dlock.blocked_by.count"])
		}
	}
}

func TestOnlySampledSpansAreStoredWithTheLease(t *testing.T) {
	recordOnly := samplerFunc(func(sdktrace.SamplingParameters) sdktrace.SamplingDecision { return sdktrace.RecordOnly })
	for _, c := range []struct {
		name    string
		sampler sdktrace.Sampler
		opts    []lockotel.Option
		want    bool
	}{
		{"sampled", sdktrace.AlwaysSample(), nil, true},
		{"not sampled", sdktrace.NeverSample(), nil, false},
		{"recorded but not sampled", recordOnly, nil, false},
		{"without links", sdktrace.AlwaysSample(), []lockotel.Option{lockotel.WithoutLinks()}, false},
		{"without traces", sdktrace.AlwaysSample(), []lockotel.Option{lockotel.WithoutTraces()}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRigSampling(t, c.sampler, c.opts...)
			ctx, _ := r.request("request")
			defer r.release(r.acquire(ctx, key))
			want := ""
			if c.want {
				sc := r.only("acquire " + route).SpanContext()
				want = "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-01"
			}
			if got := storedTraceParent(t, r.fake); got != want {
				t.Errorf("the lease's traceparent is %q, want %q", got, want)
			}
		})
	}
}

func TestWithoutLinksNobodyIsNamed(t *testing.T) {
	r := newRig(t, lockotel.WithoutLinks())
	heldElsewhere(r)
	ctx, _ := r.request("request")
	fails(r, ctx, core.ErrHeld, core.Wait(0))
	span := r.only("acquire " + route)
	expectLinks(t, span)
	expectAttributes(t, "acquire", span.Attributes(), place.with(attributes{
		"dlock.outcome": "busy", "error.type": "held", "dlock.contended": true,
		"dlock.queue.position": int64(1), "dlock.blocked_by.count": int64(1), "dlock.lease.duration": 10.0,
	}))
}

// storedTraceParent is what another process reads about the holder of key.
func storedTraceParent(t *testing.T, l core.Locker) string {
	t.Helper()
	_, err := l.Acquire(context.Background(), key, core.Wait(0))
	ae, ok := errors.AsType[*core.AcquireError](err)
	if !ok || ae.Info.Blocker == nil {
		t.Fatalf("Acquire: %v, want an AcquireError that knows the holder", err)
	}
	return ae.Info.Blocker.TraceParent
}

// expectChain wants the acquire spans of a holder and of those in line behind it to
// be linked: each to the holder and to the one directly before it.
func expectChain(t testing.TB, acquires []sdktrace.ReadOnlySpan) {
	t.Helper()
	holder := acquires[0].SpanContext()
	for i, span := range acquires[1:] {
		predecessor := acquires[i].SpanContext()
		if i == 0 {
			expectLinks(t, span, link{holder, []string{"holder", "predecessor"}})
		} else {
			expectLinks(t, span, link{holder, []string{"holder"}}, link{predecessor, []string{"predecessor"}})
		}
	}
}

type link struct {
	to    trace.SpanContext
	roles []string
}

func expectLinks(t testing.TB, span sdktrace.ReadOnlySpan, want ...link) {
	t.Helper()
	got := span.Links()
	if len(got) != len(want) {
		t.Errorf("%s has %d links, want %d", span.Name(), len(got), len(want))
		return
	}
	for i, w := range want {
		if !got[i].SpanContext.Equal(w.to.WithRemote(true)) {
			t.Errorf("link %d leads to %+v, want %+v", i, got[i].SpanContext, w.to)
		}
		if len(got[i].Attributes) != 1 || got[i].Attributes[0].Key != "dlock.blocked_by.roles" ||
			!slices.Equal(got[i].Attributes[0].Value.AsStringSlice(), w.roles) {
			t.Errorf("link %d has the attributes %v, want the roles %v", i, got[i].Attributes, w.roles)
		}
	}
}
