package lockotel

import "go.opentelemetry.io/otel/attribute"

// OpenTelemetry's semantic conventions have no namespace for locks; dlock. is
// ours. error.type is theirs
// (https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/).
const (
	systemNameKey       = attribute.Key("dlock.system.name")
	namespaceKey        = attribute.Key("dlock.namespace")
	nameKey             = attribute.Key("dlock.name")
	outcomeKey          = attribute.Key("dlock.outcome")
	contendedKey        = attribute.Key("dlock.contended")
	queuePositionKey    = attribute.Key("dlock.queue.position")
	handoffKey          = attribute.Key("dlock.handoff")
	fencingTokenKey     = attribute.Key("dlock.fencing_token")
	leaseDurationKey    = attribute.Key("dlock.lease.duration")
	blockedByTraceIDKey = attribute.Key("dlock.blocked_by.trace_id")
	blockedByCountKey   = attribute.Key("dlock.blocked_by.count")
	blockedByRolesKey   = attribute.Key("dlock.blocked_by.roles")
	lockKeyKey          = attribute.Key("dlock.key")
	shadowKey           = attribute.Key("dlock.shadow")
	errorTypeKey        = attribute.Key("error.type")
)

const systemName = "redis"
