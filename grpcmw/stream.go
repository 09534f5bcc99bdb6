package grpcmw

import (
	"context"
	"errors"

	"google.golang.org/grpc"
)

// Stream returns the interceptor for streams of all kinds. It needs
// [Middleware.Unary] beside it: [Middleware.ServerOptions] gives both.
//
// A stream holds its lock until its handler returns, at most for the method's
// MaxHold. When the lock is lost, the stream's context is cancelled, and
// receiving and sending fail; see [OnLossAfterSend] for how it ends, and
// [ClientTimeout] for a client that keeps it waiting. If the handler panics, its lock
// is released and the panic goes on.
//
// SendMsg and RecvMsg return at once when the lock's context ends. One that was
// blocked may still be at its work then: a message that was given to it must not be
// changed or used any more, and may have been sent or not. A handler that returns nil
// all the same has not succeeded: its stream fails with [core.ReasonLost].
func (m *Middleware) Stream() grpc.StreamServerInterceptor {
	m.mustBe()
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		// grpc.UnknownServiceHandler is called without a service.
		method := m.find(info.FullMethod, srv != nil)
		if method == nil {
			return handler(srv, ss)
		}
		c := &call{method: method, lines: m.lines, setTrailer: ss.SetTrailer, bidi: info.IsClientStream && info.IsServerStream}
		c.ctx, c.requestID = m.identify(ss.Context(), ss.SetTrailer)
		switch {
		case !method.key.onMessage:
			return c.lockAtOpen(srv, ss, handler)
		case info.IsClientStream:
			// Verify says so at start-up; this is for those who did not ask.
			if d := c.enforced(fault(errNoRequest)); d != nil {
				return c.deny(d, false)
			}
			return handler(srv, &identifiedStream{ss, unlocked(c.ctx)})
		default:
			return c.lockAtRequest(srv, ss, handler)
		}
	}
}

var errNoRequest = errors.New("grpcmw: the key needs a request message, and a client stream has none at its beginning")

// identifiedStream is a stream whose context carries the request ID.
type identifiedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *identifiedStream) Context() context.Context { return s.ctx }

// lockAtOpen runs the handler under a lock whose key is known when the stream
// opens.
func (c *call) lockAtOpen(srv any, ss grpc.ServerStream, handler grpc.StreamHandler) error {
	key, locked, denial := c.lockKey(c.ctx, nil)
	switch {
	case denial != nil:
		return c.deny(denial, false)
	case !locked:
		return handler(srv, &identifiedStream{ss, unlocked(c.ctx)})
	}
	var r result
	err := c.run(c.ctx, key, func(ctx context.Context) error {
		s := c.lockedStream(ctx, ss)
		defer s.close()
		r.ran = true
		r.err = s.outcome(handler(srv, s))
		r.sent = s.sent.Load()
		return r.err
	})
	return c.outcome(err, r)
}
