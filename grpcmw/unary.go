package grpcmw

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Unary returns the interceptor for unary calls. It needs [Middleware.Stream]
// beside it: [Middleware.ServerOptions] gives both.
//
// If the handler panics, its lock is released and the panic goes on.
func (m *Middleware) Unary() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		setTrailer := func(md metadata.MD) {
			// Fails only without a stream, when the interceptor is called by
			// hand and nobody reads trailers.
			_ = grpc.SetTrailer(ctx, md)
		}
		ctx, id := m.identify(ctx, setTrailer)
		method := m.methods[info.FullMethod]
		if method == nil {
			return handler(ctx, req)
		}

		c := &call{method: method, ctx: ctx, requestID: id, setTrailer: setTrailer}
		key, locked, denial := method.lockKey(ctx, req)
		switch {
		case denial != nil:
			return nil, c.deny(denial, false)
		case !locked:
			return handler(unlocked(ctx), req)
		}
		var resp any
		var r result
		err := c.run(ctx, key, func(ctx context.Context) error {
			r.ran = true
			resp, r.err = handler(ctx, req)
			return r.err
		})
		if err != nil {
			err = c.outcome(err, r)
		}
		return resp, err
	}
}
