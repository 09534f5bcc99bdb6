package lockotel

import (
	"go.opentelemetry.io/otel/trace"
)

// A traceparent of version 00 (W3C Trace Context,
// https://www.w3.org/TR/trace-context/#traceparent-header) is
//
//	00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
//	version, trace ID, span ID, flags
//
// in lower-case hexadecimal.
const traceParentLen = 55

// sampledTraceParent returns the traceparent of sc. sc is valid and sampled.
func sampledTraceParent(sc trace.SpanContext) string {
	return "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-01"
}

// parseTraceParent returns the span context that s stands for, without
// allocating. It returns false for what is malformed, and for a span that is
// not sampled: a link to it would lead nowhere.
//
// It agrees with the API's propagation.TraceContext, which only works through
// a carrier and a context, except that version 00 ends where the
// recommendation ends it: the API lets one more dash pass.
func parseTraceParent(s string) (trace.SpanContext, bool) {
	if len(s) < traceParentLen || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return trace.SpanContext{}, false
	}
	version, ok := hexByte(s[0], s[1])
	if !ok || version == 0xff { // ff is forbidden
		return trace.SpanContext{}, false
	}
	flags, ok := hexByte(s[53], s[54])
	if !ok {
		return trace.SpanContext{}, false
	}
	if version == 0 {
		// Neither more fields nor flags other than sampled and random.
		if len(s) != traceParentLen || flags > byte(trace.FlagsSampled|trace.FlagsRandom) {
			return trace.SpanContext{}, false
		}
	} else if len(s) > traceParentLen && s[traceParentLen] != '-' {
		return trace.SpanContext{}, false
	}
	traceID, err := trace.TraceIDFromHex(s[3:35])
	if err != nil {
		return trace.SpanContext{}, false
	}
	spanID, err := trace.SpanIDFromHex(s[36:52])
	if err != nil {
		return trace.SpanContext{}, false
	}
	sc := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID:    traceID,
		SpanID:     spanID,
		TraceFlags: trace.TraceFlags(flags) & (trace.FlagsSampled | trace.FlagsRandom),
		// Like all that came through a lease's metadata. A holder in this
		// very process cannot be told apart.
		Remote: true,
	})
	return sc, sc.IsSampled()
}

func hexByte(high, low byte) (byte, bool) {
	h, hok := hexDigit(high)
	l, lok := hexDigit(low)
	return h<<4 | l, hok && lok
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
