package grpcmw

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/latchkey-go/latchkey/idgen"
)

// ClientOption configures [ClientUnary] and [ClientStream].
type ClientOption interface{ applyClient(*client) }

type clientOption func(*client)

func (o clientOption) applyClient(c *client) { o(c) }

// client is what the interceptors of a client share.
type client struct{ retries int }

func newClient(opts []ClientOption) client {
	var c client
	for _, opt := range opts {
		if opt != nil {
			opt.applyClient(&c)
		}
	}
	return c
}

// ClientUnary returns the interceptor for unary calls of a client. It sends the
// request ID of the call's context (idgen.FromContext) in the metadata
// [RequestIDKey], or a new one if there is none, the same for every attempt of a
// call; one that is in the outgoing metadata already is kept.
//
//	grpc.NewClient(target,
//		grpc.WithChainUnaryInterceptor(grpcmw.ClientUnary(grpcmw.RetryHeld(3))),
//		grpc.WithChainStreamInterceptor(grpcmw.ClientStream(grpcmw.RetryHeld(3))))
//
// With [RetryHeld] it tries again after denials.
func ClientUnary(opts ...ClientOption) grpc.UnaryClientInterceptor {
	c := newClient(opts)
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		ctx = withOutgoingID(ctx)
		if c.retries <= 0 {
			return invoke(ctx, method, req, reply, cc, opts...)
		}
		r := retry{left: c.retries}
		for {
			var trailer metadata.MD
			err := invoke(ctx, method, req, reply, cc, r.options(opts, grpc.Trailer(&trailer))...)
			if again, err := r.after(ctx, err, trailer); !again {
				return err
			}
		}
	}
}

// ClientStream returns the interceptor for streams of a client: what [ClientUnary]
// is for unary calls. With [RetryHeld] it opens server streams again, until the
// first message or headers have been asked for and arrived. Client and bidi
// streams it leaves to the retry policy of a service config, for which grpc-go
// keeps what was sent.
func ClientStream(opts ...ClientOption) grpc.StreamClientInterceptor {
	c := newClient(opts)
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		ctx = withOutgoingID(ctx)
		if c.retries <= 0 || desc.ClientStreams {
			return open(ctx, desc, cc, method, opts...)
		}
		s := &retryingStream{ctx: ctx, retry: retry{left: c.retries}}
		s.open = func() (grpc.ClientStream, error) { return open(ctx, desc, cc, method, s.retry.options(opts)...) }
		var err error
		if s.stream, err = s.open(); err != nil {
			return nil, err
		}
		return s, nil
	}
}

// withOutgoingID returns ctx with a request ID in its outgoing metadata.
func withOutgoingID(ctx context.Context) context.Context {
	if md, ok := metadata.FromOutgoingContext(ctx); ok && len(md[RequestIDKey]) > 0 {
		return ctx
	}
	id, ok := idgen.FromContext(ctx)
	if !ok || !idgen.ValidRequestID(id) {
		id = idgen.NewRequestID()
	}
	return metadata.AppendToOutgoingContext(ctx, RequestIDKey, id)
}
