// Package grpcmw locks the calls of a gRPC server: of all calls with the same
// key, on all replicas of a service, one runs at a time and the others wait in
// line. What is locked stands beside the method in its .proto file (see package
// lockpb):
//
//	rpc Update(UpdateRequest) returns (UpdateReply) {
//	  option (latchkey.v1.lock) = {key: "order:{field.order.id}" wait: {seconds: 2}};
//	}
//
// or in Go, or both:
//
//	gm, err := grpcmw.New(locker, grpcmw.FromProtoOptions(),
//		grpcmw.For(pb.Orders_Cancel_FullMethodName,
//			grpcmw.KeyOf(func(r *pb.CancelRequest) string { return keys.Join("order", r.GetOrderId()) })),
//	)
//	srv := grpc.NewServer(gm.ServerOptions()...)
//	pb.RegisterOrdersServer(srv, orders)
//	err = gm.Verify(srv.GetServiceInfo())
//
// Methods that neither [For], [FromProtoOptions] nor [ForAll] names are left alone,
// at no cost; health checks and reflection are, unless they are named one by one.
// The handler finds the held lock with [core.FromContext] (its fencing token above
// all) and the call's ID with idgen.FromContext; [RequestID] gives an ID to calls
// that are not locked as well. [NewClient] is the client's side.
//
// The key is what the template or the function says and nothing else: both methods
// above take the lock order:42 for order 42, as does an HTTP route with
// order:{path.id} and a job with keys.Join("order", "42"), and lockctl inspect and
// locktest's Hold take that text. [Scoped] sets methods apart. Values are compared
// byte by byte, unless a placeholder has a form: see [KeyTemplate].
//
// # Streams
//
// A stream holds its lock until its handler returns. Where the key is made of
// metadata, the peer or context values, any stream is locked when it opens. Where it
// is made of the request (a field, [KeyOf], [KeyFunc], [MessageKey]), a server stream
// is locked when its request has arrived, before the user's method is called, and
// interceptors inside this one have begun by then. Headers that they set before are
// kept back until the lock is granted, and the compression cannot be set before
// ([google.golang.org/grpc.SetSendCompressor] fails). Client and bidi streams cannot
// have such a key: [Middleware.Verify] reports them, and their calls are denied.
//
// A stream that is locked by its request has one context, which has no lock before
// and has it afterwards, so that interceptors may keep the one that they find when
// the stream opens.
//
// A client that takes no messages blocks the handler's SendMsg, and one that sends none
// its RecvMsg. Both return when the lock's context ends, and after [ClientTimeout] (10 s)
// the call fails and the key is free. What had been sent stays in grpc-go until the
// client takes it, and grpc.Server.GracefulStop waits for that: give it a time, and
// then call Stop.
//
// # Calls in line and their connection
//
// A call that waits in line is one of the calls that its connection may carry at a time
// (grpc.MaxConcurrentStreams; 250 behind net/http). So that calls for free keys still
// get through, at most 50 calls of a connection wait, for whichever keys, and one more
// is denied with LOCK_QUEUE_FULL unless its key is free. [MaxWaitingPerConn] sets
// another number: half of grpc.MaxConcurrentStreams, if that is less than 100.
//
// # Behind net/http
//
// The server may also be a handler of net/http (grpc.Server.ServeHTTP): the client's
// address and certificate are the same there. A client that comes by a Unix socket or
// an in-memory connection has no IP address, so that {peer.ip} is missing there.
// [Middleware.Verify] cannot see that, because it does not know the listener.
//
// # grpc-gateway
//
// RegisterXHandlerServer, which grpc-gateway generates, calls the service itself: no
// interceptor runs and nothing is locked, silently. RegisterXHandlerFromEndpoint and
// RegisterXHandlerClient call the server, and are locked. The examples of
// [Middleware.ServerOptions] and [Middleware.Unary] show both ways to lock a gateway.
//
// # What a denied call gets
//
// A status with fixed text, never the key or an internal error. Its details are
// an ErrorInfo with [ErrorDomain] and the [core.Reason], a RetryInfo where
// trying again makes sense, and a BadRequest where the key is at fault. The
// trailer grpc-retry-pushback-ms steers the retry policies of clients.
//
//	LOCK_HELD, LOCK_WAIT_TIMEOUT     ABORTED, RetryInfo, pushback
//	LOCK_QUEUE_FULL                  RESOURCE_EXHAUSTED, RetryInfo
//	LOCK_DEADLINE_EXCEEDED           DEADLINE_EXCEEDED
//	LOCK_CANCELED                    CANCELLED
//	LOCK_KEY_MISSING, _KEY_INVALID   INVALID_ARGUMENT, BadRequest
//	LOCK_BACKEND_UNAVAILABLE         UNAVAILABLE, RetryInfo
//	LOCK_SHUTTING_DOWN               UNAVAILABLE, RetryInfo, pushback
//	LOCK_LOST                        INTERNAL, pushback -1
//	LOCK_STALE                       ABORTED, pushback -1
//	LOCK_SELF_DEADLOCK, _INTERNAL    INTERNAL, pushback -1
//
// [TransparentRetry] makes the first two UNAVAILABLE, and with [Shadow] nothing is
// denied and everything told to [OnDeny].
//
// No header is sent before a denial, because after headers no client retries;
// so an interceptor around this one must neither send nor set any. If the
// handler has run, the pushback is always -1.
//
// What clients' retry policies, keepalive and proxies make of this, and which of their
// settings fit, is in docs/grpc-retries.md of this module.
//
// # Hedging
//
// A client with a hedgingPolicy (grpc-go has none) sends a call again while the
// first attempt runs, takes the first answer, and cancels the rest. The attempts of
// one call have one key. So the second should neither run after the first nor be
// denied while the first runs, which ends the call unless ABORTED is one of the
// nonFatalStatusCodes.
//
// A further attempt is told by grpc-previous-rpc-attempts, which grpc adds to it. It
// stays out of the line, whatever the method's Wait, for 50 ms and while calls that it
// may repeat are in line or run: those with its key and its x-request-id, or if it has
// no such metadata, those with its key that came over its connection. When one of them
// is answered, its client has a second to cancel it. What is not cancelled by then
// gets in line like any other call, so that an attempt whose client tells nothing true
// of it is late, and no more. So does what comes when as many attempts of its
// connection are kept aside as may wait in line ([MaxWaitingPerConn]).
//
// Attempts that reach different processes know of each other with [TrustRequestID]
// only, and only while one holds the lock, or held it right before the other. With it,
// a further attempt that is denied for others asks once more, a second later, before
// it says so.
//
// That does not cover all. A first attempt is never held up: one that comes more than
// 50 ms after the second is denied, or runs after it. A further attempt that comes when
// the first has ended runs. So it does when the first was denied, until the client
// cancels it. And a process that shuts down, or whose Redis is away, denies at once:
// UNAVAILABLE belongs in the nonFatalStatusCodes. That is why a method that is hedged
// must be safe to repeat all the same.
//
// A retry policy's attempts look the same: after one whose handler has run, the next
// begins a second after its end at the earliest.
//
// A call in shadow is not held up.
//
// # When the lock is lost
//
// The handler's context is cancelled, with a cause that matches [core.ErrLost],
// [core.ErrBroken] or [core.ErrMaxHold], and the call fails with LOCK_LOST
// whatever the handler returns, since somebody else may hold the lock. For a
// stream that has sent a message before, [OnLossAfterSend] decides.
//
// # Shutting down
//
// [Shutdown] ends the server and its Locker at once, so that calls in line go to
// another replica. The whole of it, for a process that is told to end by SIGTERM:
//
//	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
//	defer stop()
//	served := make(chan error, 1)
//	go func() { served <- srv.Serve(listener) }()
//	select {
//	case err := <-served:
//		return err // it could not serve
//	case <-ctx.Done():
//	}
//	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
//	defer cancel()
//	return grpcmw.Shutdown(ctx, srv, locker)
//
// The server's clients need [RetryHeld]; three retries are enough where they know
// another replica's address. They are told to come back in 1 to 2 s, by when they know
// that this server is ending. A readiness check should fail before, so that nobody new
// comes. Where there is one address, and for a moment nobody behind it, calls fail with
// "connection refused", which is no denial: grpc.WaitForReady(true) lets them wait for
// the next server.
//
// # Order of interceptors
//
// From the outside: recovery, telemetry, request ID ([RequestID]), authentication,
// lock, transaction. Logging outside the lock tells of denials, too. A call's key is computed once, before the handler; a client's
// retry is another call.
package grpcmw
