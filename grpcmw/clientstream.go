package grpcmw

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// retryingStream is a server stream, at the client, that is opened again when it
// is denied.
type retryingStream struct {
	ctx  context.Context
	open func() (grpc.ClientStream, error)
	// Only RecvMsg, of which one runs at a time, uses it.
	attempts attempts

	mu        sync.Mutex // guards the rest
	stream    grpc.ClientStream
	committed bool // there is no other stream any more
	request   any  // nil until it is sent; nobody may change it from then on
	closed    bool // for sending
}

var _ grpc.ClientStream = (*retryingStream)(nil)

func (s *retryingStream) current() grpc.ClientStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream
}

// commit keeps to the stream that there is now, and returns it.
func (s *retryingStream) commit() grpc.ClientStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.committed = true
	return s.stream
}

// Header commits, as it does in grpc-go.
func (s *retryingStream) Header() (metadata.MD, error) { return s.commit().Header() }

func (s *retryingStream) Trailer() metadata.MD     { return s.current().Trailer() }
func (s *retryingStream) Context() context.Context { return s.current().Context() }

func (s *retryingStream) SendMsg(m any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.request = m
	return s.stream.SendMsg(m)
}

func (s *retryingStream) CloseSend() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.stream.CloseSend()
}

// RecvMsg receives from the stream that is not denied.
func (s *retryingStream) RecvMsg(m any) error {
	for {
		s.mu.Lock()
		stream, committed := s.stream, s.committed
		s.mu.Unlock()
		err := stream.RecvMsg(m)
		if committed || err == nil || errors.Is(err, io.EOF) {
			s.commit()
			return err
		}
		if again, err := s.attempts.after(s.ctx, err, stream.Trailer()); !again {
			s.commit()
			return err
		}
		if err := s.reopen(err); err != nil {
			return err
		}
	}
}

// reopen opens the stream again and sends what was sent before. If Header has
// committed in the meantime, the stream's end stands, which is that denial.
func (s *retryingStream) reopen(denial error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.committed {
		return denial
	}
	stream, err := s.open()
	if err == nil && s.request != nil {
		err = stream.SendMsg(s.request)
	}
	if err == nil && s.closed {
		err = stream.CloseSend()
	}
	if err != nil {
		s.committed = true
		return err
	}
	s.stream = stream
	return nil
}
