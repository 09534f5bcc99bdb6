package grpcmw

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
)

// Stream returns the interceptor for streams of all kinds. It needs
// [Middleware.Unary] beside it: [Middleware.ServerOptions] gives both.
//
// A stream holds its lock until its handler returns, at most for the method's
// MaxHold. When the lock is lost, the stream's context is cancelled, and
// receiving and sending fail; see [OnLossAfterSend] for how it ends. If the
// handler panics, its lock is released and the panic goes on.
func (m *Middleware) Stream() grpc.StreamServerInterceptor {
	m.mustBe()
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		// grpc.UnknownServiceHandler is called without a service.
		method := m.find(info.FullMethod, srv != nil)
		if method == nil {
			return handler(srv, ss)
		}
		c := &call{method: method, setTrailer: ss.SetTrailer}
		c.ctx, c.requestID = m.identify(ss.Context(), ss.SetTrailer)
		switch {
		case !method.key.onMessage:
			return c.lockAtOpen(srv, ss, handler)
		case info.IsClientStream:
			// Verify says so at start-up; this is for those who did not ask.
			if d := c.enforced(core.Denied(errNoRequest)); d != nil {
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
		s := &lockedStream{ServerStream: ss, ctx: ctx}
		r.ran = true
		r.err = handler(srv, s)
		r.sent = s.sent.Load()
		return r.err
	})
	return c.outcome(err, r)
}

// lockedStream is a stream whose handler runs under a lock.
type lockedStream struct {
	grpc.ServerStream
	ctx  context.Context // the lock's
	sent atomic.Bool
}

func (s *lockedStream) Context() context.Context { return s.ctx }

// SendMsg fails once the lock is lost. One that is already blocked, because the
// client does not read, is left alone: grpc-go has no way to interrupt it.
func (s *lockedStream) SendMsg(m any) error {
	if err := s.stopped(); err != nil {
		return err
	}
	s.sent.Store(true)
	return s.ServerStream.SendMsg(m)
}

// RecvMsg returns an error as soon as the lock's context ends, so that a client
// that sends nothing cannot keep the handler; m must then not be touched any
// more.
func (s *lockedStream) RecvMsg(m any) error {
	if s.ctx.Err() != nil {
		return s.ended()
	}
	// Only the end of the call interrupts a RecvMsg, and only its return ends
	// the call. So it is left behind in a goroutine that ends with the call,
	// which is about to end because the handler's RecvMsg has failed.
	received := relay(func() error { return s.ServerStream.RecvMsg(m) })
	select {
	case r := <-received:
		return r.result()
	case <-s.ctx.Done():
		return s.ended()
	}
}

// stopped returns an error if the lock's context has ended and the call's own
// has not: the lock is lost, or the handler has returned.
func (s *lockedStream) stopped() error {
	if s.ctx.Err() == nil || s.ServerStream.Context().Err() != nil {
		return nil
	}
	d := &core.Denial{Reason: core.ReasonLost, Cause: fmt.Errorf("grpcmw: the stream has ended: %w", context.Cause(s.ctx))}
	return &deniedError{statusOf(verdictOn(d.Reason), d, 0), d}
}

// ended is why the lock's context has ended.
func (s *lockedStream) ended() error {
	if err := s.stopped(); err != nil {
		return err
	}
	return status.FromContextError(s.ctx.Err()).Err()
}
