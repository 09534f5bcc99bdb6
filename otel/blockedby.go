package lockotel

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-go/latchkey/core"
)

// The attributes of a link say what the linked acquire span's lock was to this
// one. Never changed.
var (
	holderRole      = []attribute.KeyValue{blockedByRolesKey.StringSlice([]string{"holder"})}
	predecessorRole = []attribute.KeyValue{blockedByRolesKey.StringSlice([]string{"predecessor"})}
	bothRoles       = []attribute.KeyValue{blockedByRolesKey.StringSlice([]string{"holder", "predecessor"})}
)

// linkBlockers links span to those who were in its way, and returns the trace
// ID for dlock.blocked_by.trace_id, "" if nobody's is known.
func linkBlockers(span trace.Span, info core.Info) string {
	holder, holderKnown := acquireSpanOf(info.Blocker)
	predecessor, predecessorKnown := acquireSpanOf(info.Predecessor)
	switch {
	case holderKnown && predecessorKnown && holder.Equal(predecessor):
		span.AddLink(trace.Link{SpanContext: predecessor, Attributes: bothRoles})
	default:
		if holderKnown {
			span.AddLink(trace.Link{SpanContext: holder, Attributes: holderRole})
		}
		if predecessorKnown {
			span.AddLink(trace.Link{SpanContext: predecessor, Attributes: predecessorRole})
		}
	}
	// Nobody has a predecessor before the grant. Of a wait that ended without
	// one, the holder at its beginning is the best there is to say.
	switch {
	case predecessorKnown:
		return predecessor.TraceID().String()
	case holderKnown:
		return holder.TraceID().String()
	}
	return ""
}

func acquireSpanOf(h *core.Holder) (trace.SpanContext, bool) {
	if h == nil {
		return trace.SpanContext{}, false
	}
	return parseTraceParent(h.TraceParent)
}
