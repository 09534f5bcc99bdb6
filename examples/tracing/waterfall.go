package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const barWidth = 40

// drawTraces draws all traces over one time axis, in the order of their starts.
func drawTraces(out io.Writer, spans []sdktrace.ReadOnlySpan) {
	if len(spans) == 0 {
		fmt.Fprintln(out, "no traces")
		return
	}
	slices.SortStableFunc(spans, func(a, b sdktrace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
	w := waterfall{out: out, start: spans[0].StartTime(), children: map[trace.SpanID][]sdktrace.ReadOnlySpan{}}
	ids := map[trace.SpanID]sdktrace.ReadOnlySpan{}
	for _, s := range spans {
		ids[s.SpanContext().SpanID()] = s
		if d := s.EndTime().Sub(w.start); d > w.length {
			w.length = d
		}
	}
	w.spans = ids
	const indent = 3
	depth := func(s sdktrace.ReadOnlySpan) (n int) {
		for s = ids[s.Parent().SpanID()]; s != nil; s = ids[s.Parent().SpanID()] {
			n++
		}
		return n
	}
	for _, s := range spans {
		w.labels = max(w.labels, indent*depth(s)+utf8.RuneCountInString(label(s)))
	}
	var roots []sdktrace.ReadOnlySpan
	for _, s := range spans {
		if parent := s.Parent().SpanID(); ids[parent] != nil {
			w.children[parent] = append(w.children[parent], s)
		} else {
			roots = append(roots, s)
		}
	}
	for _, s := range roots {
		fmt.Fprintf(out, "\ntrace %s\n", s.SpanContext().TraceID())
		w.draw(s, "", "")
	}
}

// waterfall is a drawing of spans.
type waterfall struct {
	out      io.Writer
	start    time.Time
	length   time.Duration
	labels   int // the width of their column
	spans    map[trace.SpanID]sdktrace.ReadOnlySpan
	children map[trace.SpanID][]sdktrace.ReadOnlySpan
}

// draw draws s and what is beneath it. branch is before its own name, trunk before
// whatever comes under it.
func (w *waterfall) draw(s sdktrace.ReadOnlySpan, branch, trunk string) {
	fmt.Fprintf(w.out, "%-*s %s %s\n", w.labels, branch+label(s), w.bar(s), s.EndTime().Sub(s.StartTime()).Round(100*time.Microsecond))
	for _, l := range s.Links() {
		fmt.Fprintf(w.out, "%s    ↳ %s: %s\n", trunk, strings.Join(roles(l), " and "), w.name(l.SpanContext))
	}
	children := w.children[s.SpanContext().SpanID()]
	for i, c := range children {
		if i == len(children)-1 {
			w.draw(c, trunk+"└─ ", trunk+"   ")
		} else {
			w.draw(c, trunk+"├─ ", trunk+"│  ")
		}
	}
}

// bar is where s lies on the time axis. What is too short to be seen is seen.
func (w *waterfall) bar(s sdktrace.ReadOnlySpan) string {
	at := func(t time.Time) int { return int(barWidth * t.Sub(w.start) / max(w.length, 1)) }
	from := min(at(s.StartTime()), barWidth-1)
	to := min(max(at(s.EndTime()), from+1), barWidth)
	return strings.Repeat("·", from) + strings.Repeat("█", to-from) + strings.Repeat("·", barWidth-to)
}

// name is what a link leads to.
func (w *waterfall) name(sc trace.SpanContext) string {
	where := "trace " + sc.TraceID().String()
	if s := w.spans[sc.SpanID()]; s != nil {
		return label(s) + ", " + where
	}
	return where
}

func roles(l sdktrace.Link) []string {
	for _, kv := range l.Attributes {
		if kv.Key == "dlock.blocked_by.roles" {
			return kv.Value.AsStringSlice()
		}
	}
	return []string{"linked"}
}

func label(s sdktrace.ReadOnlySpan) string {
	service, _ := s.Resource().Set().Value(attribute.Key("service.name"))
	return cmp.Or(service.AsString(), "?") + ": " + s.Name()
}
