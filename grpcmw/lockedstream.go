package grpcmw

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
)

// lockedStream is a stream whose handler runs under a lock.
//
// Only the end of the call interrupts a SendMsg or RecvMsg that is blocked, and only
// the handler's return ends the call. So they run aside: when the lock's context ends,
// the handler is told, and what is blocked is left behind until the call has ended,
// which it is about to.
type lockedStream struct {
	grpc.ServerStream
	call   *call
	ctx    context.Context // ends with the lock's, when the client is idle, and with close
	cancel context.CancelCauseFunc
	idle   time.Duration

	send, receive aside
	sent          atomic.Bool
	withheld      atomic.Bool // a message, since the lock's context has ended
}

// lockedStream returns ss with ctx, which is the lock's. It must be closed when the
// handler is done.
func (c *call) lockedStream(ctx context.Context, ss grpc.ServerStream) *lockedStream {
	s := &lockedStream{ServerStream: ss, call: c}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.send.fn, s.receive.fn = ss.SendMsg, ss.RecvMsg
	if _, held := core.FromContext(ctx); held && !c.terms.shadow {
		s.idle = c.terms.idle
	}
	return s
}

func (s *lockedStream) close() { s.cancel(core.ErrReleased) }

func (s *lockedStream) Context() context.Context { return s.ctx }

// SendMsg returns an error as soon as the lock's context ends, so that a client that
// takes nothing cannot keep the handler; m must then not be touched any more.
func (s *lockedStream) SendMsg(m any) error {
	err := s.ctx.Err()
	if err == nil {
		s.sent.Store(true)
		err = s.aside(&s.send, m, s.idle, "took no message")
	} else {
		err = s.ended()
	}
	if err != nil && s.ctx.Err() != nil {
		s.withheld.Store(true)
	}
	return err
}

// RecvMsg returns an error as soon as the lock's context ends, so that a client
// that sends nothing cannot keep the handler; m must then not be touched any
// more.
func (s *lockedStream) RecvMsg(m any) error {
	if s.ctx.Err() != nil {
		return s.ended()
	}
	idle := s.idle
	if s.call.bidi {
		idle = 0
	}
	return s.aside(&s.receive, m, idle, "sent no message")
}

func (s *lockedStream) aside(a *aside, m any, idle time.Duration, fault string) error {
	err := a.run(s.ctx, m, idle)
	switch {
	case err == nil:
		return nil
	case err == errBlocked:
		s.cancel(&idleError{fmt.Sprintf("the client %s for %v while the call held its lock", fault, idle)})
		return s.ended()
	case err == s.ctx.Err():
		return s.ended()
	}
	return err
}

// stopped returns an error if the lock's context has ended and the call's own
// has not: the lock is lost, the client idle, or the handler has returned.
func (s *lockedStream) stopped() error {
	if s.ctx.Err() == nil || s.ServerStream.Context().Err() != nil {
		return nil
	}
	if err := s.idled(); err != nil {
		return err
	}
	d := &core.Denial{Reason: core.ReasonLost, Cause: fmt.Errorf("grpcmw: the stream has ended: %w", context.Cause(s.ctx))}
	return denied(d)
}

// ended is why the lock's context has ended.
func (s *lockedStream) ended() error {
	s.cancel(context.Cause(s.ctx)) // so that the handler's context, which may be another, has ended, too
	if err := s.stopped(); err != nil {
		return err
	}
	return status.FromContextError(s.ctx.Err()).Err()
}

// idled returns the error for an idle client, nil if it is none.
func (s *lockedStream) idled() error {
	if err, ok := context.Cause(s.ctx).(*idleError); ok {
		return err
	}
	return nil
}

// outcome is the handler's result, or the error for an idle client, or for a message
// that its handler believes to be sent.
func (s *lockedStream) outcome(err error) error {
	idle := s.idled()
	if idle == nil {
		if err == nil && s.withheld.Load() {
			return s.ended()
		}
		return err
	}
	s.call.setTrailer(metadata.MD{pushbackKey: {noRetry}})
	return idle
}

// idleError is how a call ends whose client was idle.
type idleError struct{ text string }

func (e *idleError) Error() string { return "grpcmw: " + e.text }

func (e *idleError) GRPCStatus() *status.Status { return status.New(codes.DeadlineExceeded, e.text) }

func (e *idleError) Unwrap() error { return os.ErrDeadlineExceeded }
