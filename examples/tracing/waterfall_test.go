package main

import (
	"bytes"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// drawn is a span of a service from one millisecond to another.
func drawn(service, name string, id, parent byte, from, to int, links ...sdktrace.Link) sdktrace.ReadOnlySpan {
	began := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	context := func(span byte) trace.SpanContext {
		return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{id / 10}, SpanID: trace.SpanID{span}})
	}
	stub := tracetest.SpanStub{
		Name: name, SpanContext: context(id), Links: links,
		StartTime: began.Add(time.Duration(from) * time.Millisecond), EndTime: began.Add(time.Duration(to) * time.Millisecond),
		Resource: resource.NewSchemaless(attribute.String("service.name", service)),
	}
	if parent != 0 {
		stub.Parent = context(parent)
	}
	return stub.Snapshot()
}

func TestAllTracesAreDrawnOverOneTimeAxis(t *testing.T) {
	first := drawn("web", "GET /", 11, 10, 0, 50)
	elsewhere := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{9}, SpanID: trace.SpanID{99}})
	var out bytes.Buffer
	drawTraces(&out, []sdktrace.ReadOnlySpan{ // as they end
		first,
		drawn("web", "wait", 22, 21, 50, 50,
			sdktrace.Link{SpanContext: first.SpanContext(), Attributes: []attribute.KeyValue{
				attribute.StringSlice("dlock.blocked_by.roles", []string{"holder", "predecessor"}),
			}},
			sdktrace.Link{SpanContext: elsewhere}),
		drawn("web", "work", 23, 21, 50, 100),
		drawn("office", "PUT /", 21, 0, 25, 100),
	})
	const want = `
trace 01000000000000000000000000000000
web: GET /    ████████████████████···················· 50ms

trace 02000000000000000000000000000000
office: PUT / ··········██████████████████████████████ 75ms
├─ web: wait  ····················█··················· 0s
│      ↳ holder and predecessor: web: GET /, trace 01000000000000000000000000000000
│      ↳ linked: trace 09000000000000000000000000000000
└─ web: work  ····················████████████████████ 50ms
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}

func TestWithoutSpansNothingIsDrawn(t *testing.T) {
	var out bytes.Buffer
	if drawTraces(&out, nil); out.String() != "no traces\n" {
		t.Errorf("got %q", &out)
	}
}
