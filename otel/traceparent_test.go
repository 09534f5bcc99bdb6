package lockotel

import (
	"context"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// validTraceParent is the example of the W3C recommendation.
const validTraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestParseTraceParent(t *testing.T) {
	const traceID, spanID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for _, c := range []struct {
		name, in string
		want     bool
	}{
		{"sampled", validTraceParent, true},
		{"sampled with a random trace ID", "00-" + traceID + "-" + spanID + "-03", true},
		{"a later version", "01-" + traceID + "-" + spanID + "-01", true},
		{"a later version with more fields", "cc-" + traceID + "-" + spanID + "-01-what-ever", true},
		{"a later version with flags yet unknown", "01-" + traceID + "-" + spanID + "-ff", true},

		{"not sampled", "00-" + traceID + "-" + spanID + "-00", false},
		{"random but not sampled", "00-" + traceID + "-" + spanID + "-02", false},
		{"empty", "", false},
		{"cut short", validTraceParent[:54], false},
		{"one character more", validTraceParent + "0", false},
		{"a dash at the end in version 00", validTraceParent + "-", false},
		{"more fields in version 00", validTraceParent + "-00", false},
		{"more without a dash in a later version", "01" + validTraceParent[2:] + "00", false},
		{"the forbidden version", "ff-" + traceID + "-" + spanID + "-01", false},
		{"no version", "zz-" + traceID + "-" + spanID + "-01", false},
		{"unknown flags in version 00", "00-" + traceID + "-" + spanID + "-09", false},
		{"flags that are no number", "00-" + traceID + "-" + spanID + "-0g", false},
		{"upper case", strings.ToUpper(validTraceParent), false},
		{"upper-case flags", "01-" + traceID + "-" + spanID + "-0F", false},
		{"a zero trace ID", "00-" + strings.Repeat("0", 32) + "-" + spanID + "-01", false},
		{"a zero span ID", "00-" + traceID + "-" + strings.Repeat("0", 16) + "-01", false},
		{"other separators", strings.ReplaceAll(validTraceParent, "-", "_"), false},
		{"another first separator", "00_" + traceID + "-" + spanID + "-01", false},
		{"another second separator", "00-" + traceID + "_" + spanID + "-01", false},
		{"another third separator", "00-" + traceID + "-" + spanID + "_01", false},
		{"spaces around", " " + validTraceParent, false},
		{"not hexadecimal", "00-" + strings.Repeat("x", 32) + "-" + spanID + "-01", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			sc, ok := parseTraceParent(c.in)
			if ok != c.want {
				t.Fatalf("parseTraceParent(%q) = %v, want %v", c.in, ok, c.want)
			}
			if ok && (sc.TraceID().String() != traceID || sc.SpanID().String() != spanID || !sc.IsSampled() || !sc.IsRemote()) {
				t.Errorf("parseTraceParent(%q) = %+v", c.in, sc)
			}
		})
	}
}

func TestParseTraceParentDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { parseTraceParent(validTraceParent) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestSampledTraceParentIsWhatPropagatorsWrite(t *testing.T) {
	sc := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID:    trace.TraceID{0x4b, 0xf9, 0x2f, 15: 0x36},
		SpanID:     trace.SpanID{0, 0xf0, 7: 0xb7},
		TraceFlags: trace.FlagsSampled,
	})
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(context.Background(), sc), carrier)
	if got, want := sampledTraceParent(sc), carrier["traceparent"]; got != want {
		t.Errorf("sampledTraceParent = %q, want %q", got, want)
	}
	if back, ok := parseTraceParent(sampledTraceParent(sc)); !ok || !back.Equal(sc.WithRemote(true)) {
		t.Errorf("it reads back as %+v, %v", back, ok)
	}
}

// FuzzParseTraceParent compares with the API's own parser, on any input.
func FuzzParseTraceParent(f *testing.F) {
	for _, s := range []string{
		validTraceParent, "", "-", "---", validTraceParent[:54], validTraceParent + "-", "01" + validTraceParent[2:] + "-x",
		"fe" + validTraceParent[2:], "ff" + validTraceParent[2:], "00" + validTraceParent[2:53] + "04",
		strings.Repeat("0", 55), strings.Repeat("\xff", 55), strings.ToUpper(validTraceParent),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseTraceParent(s)
		ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": s})
		want := trace.SpanContextFromContext(ctx)
		if strings.HasPrefix(s, "00") && strings.HasSuffix(s, "-") {
			if ok {
				t.Fatalf("parseTraceParent(%q) accepts a dash at the end", s)
			}
			return // the API does accept it
		}
		if ok != want.IsSampled() {
			t.Fatalf("parseTraceParent(%q) = %v, but propagation.TraceContext says sampled = %v", s, ok, want.IsSampled())
		}
		if ok && !got.Equal(want) {
			t.Fatalf("parseTraceParent(%q) = %+v, want %+v", s, got, want)
		}
	})
}
