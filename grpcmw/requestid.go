package grpcmw

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/latchkey-go/latchkey/idgen"
)

// RequestIDKey is the metadata in which an answer's trailer carries the call's
// ID and, with [TrustRequestID], a call may bring one.
const RequestIDKey = "x-request-id"

// RequestIDOption is an option for [RequestID], and for [New].
type RequestIDOption interface {
	Option
	applyRequestID(*identifier)
}

// TrustRequestID takes the ID that comes with a call, if there is just one and
// idgen.ValidRequestID holds for it; else one is generated nonetheless. Only
// for servers whose callers are all trusted: a client that chooses its ID can
// make its calls look like somebody else's in logs and traces. Attempts of a
// hedged call at different processes know of each other only with it.
func TrustRequestID() RequestIDOption { return trustRequestID{} }

type trustRequestID struct{}

func (trustRequestID) applyMiddleware(o *options)   { o.identifier.trust = true }
func (trustRequestID) applyRequestID(i *identifier) { i.trust = true }

// RequestID returns the options for [grpc.NewServer] that give every call an ID,
// in its context (idgen.FromContext) and in the trailer x-request-id. A valid ID
// that is in the context already is kept.
//
// Without it, only calls that are locked get one. Give it before authentication,
// so that what is refused there has an ID as well, and with it the
// [TrustRequestID] that [Middleware]'s own then have no use for.
func RequestID(opts ...RequestIDOption) []grpc.ServerOption {
	var i identifier
	for _, opt := range opts {
		if opt != nil {
			opt.applyRequestID(&i)
		}
	}
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			ctx, _ = i.identify(ctx, unaryTrailer(ctx))
			return handler(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			ctx, _ := i.identify(ss.Context(), ss.SetTrailer)
			return handler(srv, &identifiedStream{ss, ctx})
		}),
	}
}

// identifier gives calls their IDs.
type identifier struct{ trust bool }

// identify returns ctx with the call's ID, and the ID. A valid one that is in
// ctx already is kept, and answering it left to whoever put it there: a trailer
// cannot be replaced, and would carry it twice.
func (i identifier) identify(ctx context.Context, setTrailer func(metadata.MD)) (context.Context, string) {
	if id, ok := idgen.FromContext(ctx); ok && idgen.ValidRequestID(id) {
		return ctx, id
	}
	id := i.requestID(ctx)
	setTrailer(metadata.MD{RequestIDKey: {id}})
	return idgen.NewContext(ctx, id), id
}

func (i identifier) requestID(ctx context.Context) string {
	if i.trust {
		// Two IDs are no ID: they tell of two opinions on the way.
		if ids := metadata.ValueFromIncomingContext(ctx, RequestIDKey); len(ids) == 1 && idgen.ValidRequestID(ids[0]) {
			return ids[0]
		}
	}
	return idgen.NewRequestID()
}

// unaryTrailer returns what sets a unary call's trailer.
func unaryTrailer(ctx context.Context) func(metadata.MD) {
	return func(md metadata.MD) {
		// Fails only without a stream, when an interceptor is called by hand and
		// nobody reads trailers.
		_ = grpc.SetTrailer(ctx, md)
	}
}
