package lockotel

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-go/latchkey/core"
)

// logLoss reports a lock whose holder was told to stop before it released it. Its
// trace is in the context, for handlers that look there, and in the record, for
// those that do not.
func (o *Observer) logLoss(ctx context.Context, a core.Attempt, r core.HoldResult) {
	message := "lock lost"
	switch {
	case errors.Is(r.Err, core.ErrLost): // also if an operator took it at once
	case errors.Is(r.Err, core.ErrBroken):
		message = "lock broken by an operator"
	case errors.Is(r.Err, core.ErrMaxHold):
		message = "lock held for too long"
	}
	attrs := []slog.Attr{
		slog.String(string(namespaceKey), a.Namespace),
		slog.String(string(nameKey), a.Name),
		slog.String(string(errorTypeKey), core.ErrorType(r.Err)),
		slog.Duration("held", r.Held),
	}
	if o.key {
		attrs = append(attrs, slog.String(string(lockKeyKey), strings.ToValidUTF8(a.Key, "\uFFFD")))
	}
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		attrs = append(attrs, slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	o.logger.LogAttrs(ctx, slog.LevelWarn, message, attrs...)
}

// HealthChanged reports that Redis counts as down, or that it has answered again.
// That happens to all requests, and so the record has no trace.
func (o *Observer) HealthChanged(h core.Health) {
	if o.logger == nil {
		return
	}
	attrs := []slog.Attr{slog.String(string(namespaceKey), h.Namespace), slog.String("server.address", h.Node)}
	if h.Down == nil {
		o.logger.LogAttrs(context.Background(), slog.LevelInfo, "lock backend answers again", attrs...)
		return
	}
	attrs = append(attrs, slog.String(string(errorTypeKey), core.ErrorType(core.ErrBackend)), slog.Any("error", h.Down))
	o.logger.LogAttrs(context.Background(), slog.LevelWarn, "lock backend is down", attrs...)
}
