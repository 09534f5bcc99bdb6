package grpcmw

import (
	"context"

	"google.golang.org/grpc"
)

// Unary returns the interceptor for unary calls. It needs [Middleware.Stream]
// beside it: [Middleware.ServerOptions] gives both.
//
// If the handler panics, its lock is released and the panic goes on.
//
// It may be called by hand, for calls that come by no server: info needs the
// FullMethod. The trailer of a denial is then lost, unless the context has a stream to
// set it on ([grpc.NewContextWithServerTransportStream]).
func (m *Middleware) Unary() grpc.UnaryServerInterceptor {
	m.mustBe()
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if method := m.find(info.FullMethod, true); method != nil {
			return m.unary(ctx, method, req, handler)
		}
		return handler(ctx, req)
	}
}

func (m *Middleware) unary(ctx context.Context, method *method, req any, handler grpc.UnaryHandler) (any, error) {
	c := &call{method: method, lines: m.lines, setTrailer: unaryTrailer(ctx)}
	c.ctx, c.requestID = m.identify(ctx, c.setTrailer)
	key, locked, denial := c.lockKey(c.ctx, req)
	switch {
	case denial != nil:
		return nil, c.deny(denial, false)
	case !locked:
		return handler(unlocked(c.ctx), req)
	}
	var resp any
	var r result
	err := c.run(c.ctx, key, func(ctx context.Context) error {
		r.ran = true
		resp, r.err = handler(ctx, req)
		return r.err
	})
	if err != nil {
		err = c.outcome(err, r)
	}
	return resp, err
}
