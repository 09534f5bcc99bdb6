// Package lockotel tells OpenTelemetry about locks: who waited, for whom, for
// how long, and how long the lock was then held.
//
// [NewObserver] returns a [core.Observer]. Give it to [core.Observe], or to
// core.New with core.WithObserver:
//
//	observer, err := lockotel.NewObserver() // the global providers
//	locker = core.Observe(locker, observer)
//
// The package uses the OpenTelemetry API only, never the SDK. Without an SDK
// it costs a few nanoseconds and allocates nothing.
//
// # Spans
//
// All are of kind INTERNAL. {name} is core.Name's value (transports set a
// route pattern or a full method), else the Locker's namespace; it is never
// the key. The two are siblings, children of the span that was active when
// Acquire was called, so that waiting and working are two bars in a trace.
//
//	acquire {name}   from the call of Acquire to its outcome
//	hold {name}      from the grant until the lock is released or lost
//
// There is no span where the local parent is not recording: an unsampled
// request, a remote parent that no local span was begun for, and work that is
// not traced at all. A lock never begins a trace.
//
//	attribute                    type      on
//	dlock.system.name            string    both: "redis"
//	dlock.namespace              string    both: the Locker's prefix
//	dlock.name                   string    both
//	dlock.outcome                string    acquire: acquired, busy, timeout, queue_full, canceled, error;
//	                                       hold: released, lost
//	dlock.contended              bool      acquire
//	dlock.queue.position         int       acquire, contended: the place in line at entry, from 1
//	dlock.handoff                string    acquire, contended and handed over: local, remote
//	dlock.fencing_token          int       both, once the lock is granted
//	dlock.lease.duration         double    both, in seconds: the lease's time to live, if known
//	dlock.blocked_by.trace_id    string    acquire, contended, if known: see below
//	dlock.blocked_by.count       int       acquire, contended: the holder and the waiters before this one
//	dlock.key                    string    both, only with [WithKey]
//	error.type                   string    both, failed: core.ErrorType
//
// The status is Error, with a description that is one of a few constants, for
// the outcomes timeout, queue_full, error and lost. It stays unset for busy
// and canceled: that is how a lock works, not a fault.
//
// # Blocked by
//
// A span that waited has links to two acquire spans: the one of who held the
// lock when the wait began, and the one of its predecessor, who held it
// directly before it was granted. The string-array attribute
// dlock.blocked_by.roles of the link says which: "holder", "predecessor". If
// they are one span, that is one link with both roles. In a line of N this
// makes a chain of N links rather than N² of them.
//
// dlock.blocked_by.trace_id is the predecessor's trace, or the holder's for a
// wait that ended before it had a predecessor. It makes "who waited for this
// trace?" a search by tag.
//
// The trace and span IDs travel in the lease's metadata ([core.Meta]), and
// only those of sampled spans. They are never a parent, and neither tracestate
// nor baggage goes with them. What is read there and is not a valid W3C
// traceparent is ignored. [WithoutLinks] turns it all off.
//
// # Metrics
//
//	dlock.acquire.duration    histogram, s    dlock.namespace, dlock.name, dlock.outcome, dlock.contended, error.type
//	dlock.hold.duration       histogram, s    dlock.namespace, dlock.name, dlock.outcome
//
// Attributes are as above, error.type only on failures. Keys are never in a
// metric. A lock's duration is recorded with its span in the context, so that
// exemplars lead from a slow bucket to its trace. Bucket boundaries are
// advice, which a view of the SDK can override.
package lockotel
