package grpcmw

import (
	"context"
	"errors"
	"sync"

	"google.golang.org/grpc"
)

// lockAtRequest runs the handler of a server stream under a lock whose key is
// in the request.
//
// The type of the request is known only to the handler, so the handler has
// begun when its request arrives, in its first RecvMsg: generated code calls
// that before the user's method. From there on it runs under the lock.
func (c *call) lockAtRequest(srv any, ss grpc.ServerStream, handler grpc.StreamHandler) error {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	s := &requestStream{ServerStream: ss, call: c, ctx: ctx, cancel: cancel}
	s.promise = newPromise(s.keepingHeaders(ctx))
	defer s.promise.end(nil)
	returned := false
	defer func() {
		if !returned { // a panic or runtime.Goexit: release, and let it go on
			_ = s.close().release(errNotReturned)
		}
	}()
	err := handler(srv, s)
	returned = true
	return s.close().outcome(err)
}

// requestStream is a server stream that is locked when its request arrives.
type requestStream struct {
	grpc.ServerStream
	call    *call
	ctx     context.Context // to wait for the lock with
	cancel  context.CancelFunc
	promise *promise // the handler's context

	opening sync.Mutex // held while the lock is waited for, and to close

	mu    sync.Mutex // guards the rest; never held for long
	stage stage
	early earlyHeaders
}

// stage is how far a requestStream has come. There are four: unopened (all
// zero), refused (denied is set), open (stream is set) and closed.
type stage struct {
	denied error
	stream grpc.ServerStream // what the handler goes on with
	locked *lockedStream     // the same, nil if the call runs without a lock
	hold   *hold
	closed bool
}

var (
	errUnreceived = errors.New("grpcmw: the handler does without its request, so that there is no key to lock")
	errClosed     = errors.New("grpcmw: the handler has returned")
)

func (s *requestStream) current() stage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stage
}

// Context is without the lock until the request has been received, and with it from
// then on.
func (s *requestStream) Context() context.Context { return s.promise }

// RecvMsg receives the request and waits for its lock.
func (s *requestStream) RecvMsg(m any) error {
	switch now := s.current(); {
	case now.stream != nil:
		return now.stream.RecvMsg(m)
	case now.denied != nil:
		return now.denied
	}
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return s.open(m)
}

// open waits for the lock on the request's key.
func (s *requestStream) open(request any) error {
	s.opening.Lock()
	defer s.opening.Unlock()
	if s.current().closed {
		return errClosed
	}
	key, locked, denial := s.call.lockKey(s.ctx, request)
	switch {
	case denial != nil:
		return s.refuse(s.call.deny(denial, false))
	case !locked:
		s.promise.keep(unlocked(s.ctx))
		return s.start(stage{stream: &identifiedStream{s.ServerStream, unlocked(s.ctx)}})
	}
	hold, ctx, err := s.call.hold(s.ctx, key)
	if err != nil {
		return s.refuse(s.call.outcome(err, result{}))
	}
	stream := s.call.lockedStream(ctx, s.ServerStream)
	s.promise.keep(stream.ctx)
	end := stream.cancel
	stream.cancel = func(cause error) { // at once for those who have the promise, too
		end(cause)
		s.promise.end(cause)
	}
	return s.start(stage{stream: stream, locked: stream, hold: hold})
}

// refuse makes err the call's outcome, whatever the handler makes of it.
func (s *requestStream) refuse(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stage.denied = err
	return err
}

// start lets the handler go on with next.
func (s *requestStream) start(next stage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stage = next
	return s.passOnHeaders()
}

// close returns the stage that the call has come to. A wait for the lock that
// the handler has left to another goroutine is broken off.
func (s *requestStream) close() *ending {
	if !s.opening.TryLock() {
		s.cancel()
		s.opening.Lock()
	}
	defer s.opening.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &ending{call: s.call, stage: s.stage}
	if s.stage.stream == nil && s.stage.denied == nil {
		// Ended by the handler, or an interceptor around it, on its own: the
		// client's stream fails anyhow if this does.
		_ = s.passOnHeaders()
	}
	s.stage.closed = true
	return e
}

// ending is what is left to do when the handler is done.
type ending struct {
	call  *call
	stage stage
}

// release gives back the lock, if there is one. It returns what the guard makes
// of the handler's result.
func (e *ending) release(err error) error {
	if e.stage.hold == nil {
		return err
	}
	e.stage.locked.close()
	return e.stage.hold.end(err)
}

// outcome releases and returns the call's error.
func (e *ending) outcome(err error) error {
	r := result{ran: true, err: err}
	switch now := e.stage; {
	case now.denied != nil:
		return now.denied
	case now.stream == nil && err == nil:
		return e.call.deny(fault(errUnreceived), true)
	case now.stream == nil || now.hold == nil:
		return err
	default:
		r.sent, r.err = now.locked.sent.Load(), now.locked.outcome(err)
		return e.call.outcome(e.release(r.err), r)
	}
}

// SendMsg sends a message. Before the request is received and locked it fails.
func (s *requestStream) SendMsg(m any) error {
	switch now := s.current(); {
	case now.stream != nil:
		return now.stream.SendMsg(m)
	case now.denied != nil:
		return now.denied
	}
	return denied(fault(errUnreceived))
}
