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
// transaction. What is wrapped is locked, whatever its method. Who wraps a whole
// mux chooses with [Only] and [Except] what is locked; the rest is left alone:
//
//	httpmw.Only(httpmw.UnsafeMethods)
//	httpmw.Except(httpmw.PathPrefix("/healthz"))
//
// # Keys
//
// [Key] compiles a template such as "order:{header.X-Tenant}:{path.id}" at
// construction; [KeyFunc] is plain Go. These are the placeholders of a template:
//
//	{path.id}          the wildcard {id} or {id...} of the route's pattern,
//	                   decoded exactly once under every router ([PathValue])
//	{header.X-Tenant}  the header; its name in any case
//	{query.id}         the query parameter; its name as it is
//	{cookie.session}   the cookie; its name as it is, its value without quotes
//	{form.id}          the field of a form, in the query or in the urlencoded
//	                   body of a POST, PUT or PATCH (http.Request.Form)
//	{json./items/0/id} the value in a JSON body that the pointer leads to
//	                   (RFC 6901): a string, an integer, true or false
//	{context.tenant}   what an outer middleware has put into the request's
//	                   context; needs [ContextValue]
//	{request.host}     the host that the request is for, in lower case, without
//	                   port
//	{request.method}   the method
//	{request.route}    the pattern of the route (http.Request.Pattern)
//
// A router's own accessor may hand out a path value as the client wrote it: chi's
// URLParam and echo's Param do if URL.RawPath is set, as does gin's Param with
// UseRawPath or UseEscapedPath and without UnescapePathValues. A handler that takes
// its value from there treats 4%32 and 42 as two resources, and a%2Fb and a%252Fb as
// one, which the lock does not: behind these routers, handlers should call
// [PathValue], which is what the key is made of.
//
// Around them stands literal text, in which {{ and }} are braces. The template
// begins with it, and names there what is locked: {path.id} alone is refused, since
// it would lock the order 42 and the cart 42 together. What is wrong with a template
// is an error of [New] that holds a *keys.SyntaxError with the place. A key is made
// once for each request, before it gets in line.
//
// The key is what the template or the function says and nothing else. PUT and DELETE
// of /orders/{id} and POST of /orders/{id}/pay under order:{path.id} exclude each
// other, and so do a [core.Guard] on order:42 and a gRPC method with
// order:{field.order_id}. It does not matter where the lock stands: inside a mux
// under [http.StripPrefix], or around a whole mux, the same template and value are
// the same key. The same text is what lockctl inspect, Inspect and locktest's Hold
// take. Routes that are to have locks of their own need literal text of their own,
// or [Scoped], which puts the route or its [Name] before the key.
//
// Different parts never make the same key, whatever clients send (see package keys).
// They are compared byte by byte: /orders/42 and /orders/042 are two keys, and "A1"
// and "a1" as well. Where the handler takes them for the same thing, the lock does
// not hold unless the placeholder says so with a form:
//
//	{path.id|int}      what strconv.Atoi takes, as a decimal number of 64 bits: 042
//	                   and +42 are 42, -0 is 0
//	{path.id|uuid}     a UUID in any of the usual notations, as lower-case
//	                   hexadecimal with hyphens
//	{path.id|lower}    A to Z in lower case; other letters stay as they are
//
// Every source takes a form, after its name; a bar in a name is written twice
// ({query.a||b}). A value of another form is refused with 400 and LOCK_KEY_INVALID.
// {request.…} takes lower only. The text of [Fallback] is not put into a form.
//
// A part that is not there, or is empty, is missing, and [OnMissing] says what
// becomes of the request: [Reject] (the default), [Skip], [Fallback] or
// [FallbackFunc]. A path value that the route's pattern does not have
// ({path.id} on /orders/{order}) is no fault of the client's: each request is
// answered with 500 and LOCK_INTERNAL, whatever OnMissing says, and one log record
// (slog) names the part and the pattern. So is any path value of a lock around an
// [http.ServeMux], and {request.route} where the router sets no pattern. Under a
// router that sets none, a path value is missing; the first one is logged. A part
// that two readers could read differently is refused with
// 400, since a client could else lock one thing and have the handler change
// another: a header, parameter, cookie, field or JSON member that is there twice,
// and a query, form or document that is malformed.
//
// # Keys in the body
//
// A form or a JSON document is read up to [MaxBuffered] (64 KiB); a longer one is
// refused with 413, and one with a Content-Encoding with 415. The handler reads
// the same bytes again, and the same error if the body broke off.
//
// {form.id} looks where [http.Request.ParseForm] looks, so that it is what
// [http.Request.FormValue] finds, and refuses a field that is both in the query and
// in the body. Another body of a POST, PUT or PATCH than
// application/x-www-form-urlencoded is refused with 415, multipart/form-data
// included: it is made for what does not fit into memory. A form that an outer
// middleware has parsed already, of either type, is used as it is.
//
// {json.…} does not ask for a Content-Type, as most handlers do not. "1" and 1 are
// the same key, as are "true" and true: handlers that take either would take them
// for the same thing, and a lock too many is harmless. null and "" are missing, as
// is a pointer that leads nowhere. Refused with 400 are:
//
//   - objects and arrays
//   - numbers with a fraction or an exponent, and -0: to some, 1.0 is 1
//   - two members of one name on the way to the value, as the first or the last
//     may count, and a member whose name differs in case only: to encoding/json it
//     is the same
//   - anything but one valid JSON value in UTF-8, nested up to 10,000 deep
//
// # CORS preflights
//
// A browser sends an OPTIONS request before a request that another site makes,
// with the path and the query, but without the headers, cookies and body from
// which a key may be made. Under a pattern without a method it is wrapped, and
// refused with 400, so that the browser never sends the request itself. Either
//
//   - answer preflights outside the lock: most CORS middlewares do, if they stand
//     around it; else a pattern with a method ("PUT /orders/{id}") leaves
//     OPTIONS to a handler of its own, or
//   - do not lock them: [Except]([Preflight]), or [Only]([UnsafeMethods]).
//
// OnMissing(Skip) and Fallback let them through as well, but also every other
// request that lacks its key.
//
// # Terms
//
// [Wait], [MaxWaiters], [TTL] and [MaxHold] are the same for all requests of a
// route. [WaitFunc], [MaxWaitersFunc], [TTLFunc] and [MaxHoldFunc] make them
// functions of the request: a batch client may wait longer than a browser. A
// result that is out of range denies the request with 500 and LOCK_INTERNAL.
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
//	LOCK_BODY_TIMEOUT                     408
//	LOCK_BODY_TOO_LARGE                   413
//	LOCK_BODY_UNSUPPORTED                 415
//	LOCK_BACKEND_UNAVAILABLE              503, Retry-After
//	LOCK_SHUTTING_DOWN                    503, Retry-After, Connection: close
//	LOCK_DEADLINE_EXCEEDED                504: the request's own deadline
//	LOCK_LOST                             500: the handler ran and wrote nothing
//	                                      (had it written, see OnLossAfterWrite)
//	LOCK_STALE                            409: the handler says so, see WriteDenial
//	LOCK_SELF_DEADLOCK, LOCK_INTERNAL     500
//	LOCK_CANCELED                         nothing is written: the client is gone
//
// Which settings of proxies fit is in docs/grpc-retries.md of this module: those that
// repeat any 5xx or 409 repeat requests that ran.
//
// # While a request waits
//
// The first [MaxBuffered] bytes (64 KiB) of a body are read before its request gets
// in line, with every protocol and whatever [Wait] is; the handler reads the same
// bytes again. So a client that sends slowly delays itself, and not everybody behind
// it. If nothing comes for [ClientTimeout] (10 s), the request is denied with 408. The
// whole is bounded by the server's ReadTimeout only, if it has one. A client that
// sends "Expect: 100-continue" is asked for its body at that point. A request without
// a body costs nothing more.
//
// What is longer than MaxBuffered stays with the client until the handler reads it:
//
//   - Over HTTP/1, such a request keeps its place in line after its client has gone,
//     until its wait is over: net/http sees that a client has gone away only when
//     the request's body has been read. [RequireBuffered] refuses the longer ones.
//   - Over HTTP/2, such a request does not wait in line. If its key is held, it is
//     denied with LOCK_HELD at once, since what is sent of its body would hold up
//     the other requests on its connection; if its key is free, it runs. [WaitUnread]
//     lets it wait.
//
// A route that answers while its client is still sending (full duplex, WebSockets
// over HTTP/2) needs [Unbuffered]: nothing of its bodies is read before the lock.
//
// The time in line does not count towards the server's WriteTimeout: see [Wait].
//
// # While the handler runs
//
// A client that neither sends, while the handler reads, nor takes, while it writes,
// for ClientTimeout loses its connection and with it the lock. A handler may be
// silent for as long as it likes, within [MaxHold].
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
//
// # Clients
//
// [Transport] is for programs that send requests to such routes: it carries the
// request's ID and, with [RetryHeld], repeats what was denied and has not run.
package httpmw
