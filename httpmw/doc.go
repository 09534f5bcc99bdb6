// Package httpmw locks net/http requests: of all requests with the same key,
// on all replicas of a service, one runs at a time and the others wait in line.
//
//	lock, err := httpmw.New(locker, httpmw.Key("order:{path.id}"), httpmw.Wait(2*time.Second))
//	mux.Handle("PUT /orders/{id}", lock(h))
//
// The handler finds the held lock with [core.FromContext] (its fencing token
// above all) and the request's ID with idgen.FromContext. When the lock is lost
// while the handler runs, its context is cancelled with a cause that matches
// [core.ErrLost], [core.ErrBroken] or [core.ErrMaxHold].
//
// # Where it stands
//
// Wrap the handlers of routes, inside the mux: path values and the route's
// pattern exist only there. The order of middlewares, from the outside, is
// recovery, telemetry, request ID ([RequestID]), authentication, lock,
// transaction. What is wrapped is locked, whatever its method; a pattern
// without a method also takes CORS preflights, which lack most keys and are
// then refused with 400 (or let through by [OnMissing]([Skip])).
//
// # Keys
//
// [Key] compiles a template such as "order:{header.X-Tenant}:{path.id}" at
// construction; [KeyFunc] is plain Go. The route's pattern is a part of the key,
// so two routes never meet on one lock by accident; [Name] puts several under
// one name and [Unscoped] leaves it out. Values are compared byte by byte: "A1"
// and "a1" are two keys.
//
// # Denials
//
// A request that does not get its lock is answered by [WriteDenial], unless
// [OnDeny] has written something else: application/problem+json (RFC 9457) with
// the members type, title, status, detail, instance, reason and retry_after_ms,
// of fixed texts that never hold the key or an error of the program.
//
//	reason                                status
//	LOCK_HELD, LOCK_WAIT_TIMEOUT          409, Retry-After
//	LOCK_QUEUE_FULL                       429, Retry-After
//	LOCK_KEY_MISSING, LOCK_KEY_INVALID    400
//	LOCK_BACKEND_UNAVAILABLE              503, Retry-After
//	LOCK_SHUTTING_DOWN                    503, Connection: close
//	LOCK_DEADLINE_EXCEEDED                504: the request's own deadline
//	LOCK_LOST                             500: the handler ran and wrote nothing
//	                                      (had it written, see OnLossAfterWrite)
//	LOCK_STALE                            409: the handler says so, see WriteDenial
//	LOCK_SELF_DEADLOCK, LOCK_INTERNAL     500
//	LOCK_CANCELED                         nothing is written: the client is gone
//
// # While a request waits
//
// net/http sees that an HTTP/1 client has gone away only when the request's
// body has been read. So on a route that waits, a body whose length is known and
// at most 64 KiB is read before the request gets in line, and the handler reads
// the same bytes again. A request with a longer body, or one of unknown length
// (chunked), keeps its place in line after its client has gone, until its wait
// is over. HTTP/2 has no such gap.
//
// The time in line does not count towards the server's WriteTimeout: see [Wait].
//
// # After the handler
//
// The lock is released when the handler returns or panics; the panic goes on
// unchanged, [http.ErrAbortHandler] included. The client does not wait for the
// release to be answered, except on routes without waiting (see [AwaitRelease]).
// A response that is flushed, or larger than net/http's buffer, reaches the
// client before the handler returns, and so before the release. A handler that
// hijacks its connection holds the lock until it returns, not until the
// connection ends.
package httpmw
