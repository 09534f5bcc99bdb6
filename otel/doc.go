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
// it costs a few nanoseconds and allocates nothing: see Cost.
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
//	dlock.fencing_token          int       both, once the lock is granted, only with [WithFencingToken]
//	dlock.lease.duration         double    both, in seconds: the lease's time to live, if known
//	dlock.blocked_by.trace_id    string    acquire, contended, if known: see below
//	dlock.blocked_by.count       int       acquire, contended: the holder and the waiters before this one;
//	                                       of another process's waiters, the first
//	dlock.key                    string    both, only with [WithKey]
//	dlock.shadow                 bool      both, true under core.Shadow: a trial's outcomes, not a request's;
//	                                       canceled, there, is also no answer in time
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
// directly before it was granted. One in another process is known as of the last
// renewal of its lease when the wait begins, because a process tells Redis no more
// often what it passes on among its own requests; a predecessor there is known from
// its release. The string-array attribute
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
//	dlock.acquire.duration    histogram, s             dlock.namespace, dlock.name, dlock.outcome, dlock.contended, error.type
//	dlock.hold.duration       histogram, s             dlock.namespace, dlock.name, dlock.outcome
//	dlock.waiter.count        up-down, {waiter}        dlock.namespace
//	dlock.held.count          up-down, {lock}          dlock.namespace
//	dlock.handoffs            counter, {handoff}       dlock.namespace, dlock.handoff: local, remote
//	dlock.renewals            counter, {renewal}       dlock.namespace, dlock.outcome: renewed, error, lost, broken
//
// Attributes are as above, error.type only on failures; the durations have dlock.shadow,
// too, under core.Shadow. Keys are never in a
// metric: a million of them make no series. Histograms and counters are recorded with
// the lock's span in the context, so that exemplars lead from a slow bucket to its
// trace. Bucket boundaries are advice, which a view of the SDK can override.
// [WithoutMetrics] turns off all of them or some.
//
// dlock.waiter.count is the requests of this process that are in line; one that
// is refused at once never was. dlock.held.count is down again when a lock is
// lost, whatever its holder still does. Both are observable: the observer keeps the
// numbers, and they are read when metrics are collected. So they are true, and never
// below zero, also if the SDK is installed while locks are held. (An observer of the
// global provider stays with the first SDK that is installed, as all instruments do.)
// Namespaces beyond the hundredth share a series, otel.metric.overflow.
//
// A renewal with the outcome error is tried again until the lease has lapsed: it is a
// warning, lost is the accident. All holders in a tenure share one lease, and so its
// renewals.
//
// # Reading contention
//
// A request was slow: in its trace, acquire is the time in line and hold the time
// with the lock. If acquire is the long one, its links, or dlock.blocked_by.trace_id,
// lead to the request that was in the way, where hold is the bar to look at.
// dlock.blocked_by.count tells whether it was that one request or a line of many.
//
// A request made others slow: search for dlock.blocked_by.trace_id with its trace ID.
//
// A service is slow: the rate of dlock.acquire.duration with dlock.contended true
// over the rate of all is the share of requests that meet somebody. If waits are
// long and holds (dlock.hold.duration) are short, the line is long: dlock.waiter.count
// per dlock.held.count. If dlock.handoffs is mostly remote, replicas take turns, and
// each turn costs a round trip: route requests for one key to one replica, or let
// core.Tenure be longer. If holds are long, do less under the lock. Outcome
// queue_full and timeout are requests turned away; busy is those that did not want
// to wait.
//
// The process that hangs: [WithHeldProfile] has the stacks of all locks held now at
// /debug/pprof/dlock.held, where net/http/pprof is served. An execution trace
// (package runtime/trace) has each wait as a region and each hold as a task, by the
// names of their spans; nothing is done while none is taken, and [WithoutRuntimeTrace]
// turns it off.
//
// # Log records
//
// With [WithLogger]: "lock lost", "lock broken by an operator" and "lock held for too
// long" (WARN), with dlock.namespace, dlock.name, error.type, how long it was held,
// and the trace_id and span_id of the hold span, or of the request's where that is
// not sampled; the context has that span, too. "lock backend is down" (WARN), with the
// error, and "lock backend answers again" (INFO), with server.address: they belong to no
// request, and have no trace. The key is there only with [WithKey].
//
// # Cost
//
// Of one lock, acquire to release, beside the same calls to the SDK (version 1.47)
// written out by hand, both in one run of BenchmarkLock in examples/sdktest, and of
// BenchmarkNothingRecorded here. Allocations are those that are added to the raw calls'.
//
//	no observer                                       1 ns     0 allocations
//	no-op providers                                  15–19 ns  0
//	providers that are not set: they may still come  35 ns     0
//	unsampled parent, 8 values deep in the context   32 ns     0
//	metrics                                          1.15 ×    0
//	spans                                            1.2 ×     3
//	spans and metrics                                1.2 ×     3
//
// core allocates one object more for a lock that is observed, whatever the observer
// does.
//
// # Beside other instrumentation
//
// otelhttp, otelgrpc: they come first, so that their span is the parent: wrap the
// locked handler in otelhttp.NewHandler, and give otelgrpc's handler to
// grpc.StatsHandler, which begins its span before any interceptor runs. A denial is
// then their status code, and the acquire span says why. See examples/tracing.
//
// redisotel (github.com/redis/go-redis/extra/redisotel/v9) makes a span for each
// command of the client that it instruments. Locks of many requests travel in one
// script call, whose span belongs to none of them, and scripts' arguments are keys and
// holders: give the Locker a client of its own without it. If it must be one client,
// use redisotel.WithDBStatement(false), which keeps arguments out, and expect a span with
// an error when a server meets our script for the first time (NOSCRIPT, answered by
// sending it whole).
package lockotel
