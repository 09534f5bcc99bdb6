package grpcmw

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// earlyHeaders are those of a requestStream that were set before its lock was
// granted.
type earlyHeaders struct {
	md   metadata.MD
	send bool // the handler wants them to be sent at once
}

// SetHeader sets headers. Until the lock is granted they are kept back: an
// answer with headers keeps clients from retrying.
func (s *requestStream) SetHeader(md metadata.MD) error { return s.setHeader(md, false) }

// SendHeader sends the headers, once the lock is granted.
func (s *requestStream) SendHeader(md metadata.MD) error { return s.setHeader(md, true) }

func (s *requestStream) setHeader(md metadata.MD, send bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage.stream == nil {
		s.early.md = metadata.Join(s.early.md, md)
		s.early.send = s.early.send || send
		return nil
	}
	if send {
		return s.ServerStream.SendHeader(md)
	}
	return s.ServerStream.SetHeader(md)
}

// passOnHeaders sets or sends those that were kept back.
func (s *requestStream) passOnHeaders() error {
	if s.early.send {
		return s.ServerStream.SendHeader(s.early.md)
	}
	return s.ServerStream.SetHeader(s.early.md)
}

// keepingHeaders returns a context for the time before the lock, in which
// grpc.SetHeader and grpc.SendHeader keep headers back as well: they do not go
// through the stream. What grpc-go finds in a context by its own type of stream,
// which is the compression, is not there until the lock is granted.
func (s *requestStream) keepingHeaders(ctx context.Context) context.Context {
	if transport := grpc.ServerTransportStreamFromContext(ctx); transport != nil {
		return grpc.NewContextWithServerTransportStream(ctx, &earlyTransport{transport, s})
	}
	return ctx
}

// earlyTransport is a transport's stream whose headers are those of a
// requestStream.
type earlyTransport struct {
	grpc.ServerTransportStream
	stream *requestStream
}

func (t *earlyTransport) SetHeader(md metadata.MD) error  { return t.stream.SetHeader(md) }
func (t *earlyTransport) SendHeader(md metadata.MD) error { return t.stream.SendHeader(md) }
