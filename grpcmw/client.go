package grpcmw

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/idgen"
	"github.com/latchkey-go/latchkey/internal/retry"
)

// Client is a client's side of this package: interceptors that send a request ID
// and, with [RetryHeld], repeat the calls that were denied their lock. It is
// immutable and safe for concurrent use; many connections may share it.
type Client struct {
	policy  retry.Policy
	onRetry func(context.Context, Retry)
	errs    []error
}

// ClientOption configures [NewClient].
type ClientOption interface{ applyClient(*Client) }

type clientOption func(*Client)

func (o clientOption) applyClient(c *Client) { o(c) }

// NewClient returns a Client. Its error matches [core.ErrOption] and lists every
// option that is out of range.
//
//	client, err := grpcmw.NewClient(grpcmw.RetryHeld(3))
//	...
//	conn, err := grpc.NewClient(target, append(client.DialOptions(), opts...)...)
func NewClient(opts ...ClientOption) (*Client, error) {
	c := &Client{policy: retry.New()}
	for _, opt := range opts {
		if opt != nil {
			opt.applyClient(c)
		}
	}
	if err := errors.Join(c.errs...); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Client) bad(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%w: grpcmw: "+format, append([]any{core.ErrOption}, args...)...))
}

// DialOptions returns the options for [grpc.NewClient] that install the unary and
// the stream interceptor together, so that neither is forgotten. They are chained,
// in the order in which options are given: an interceptor after them sees each
// attempt, one before them the whole call.
//
// Without a Client, as after an error of [NewClient], it panics at once.
func (c *Client) DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(c.Unary()),
		grpc.WithChainStreamInterceptor(c.Stream()),
	}
}

// Unary returns the interceptor for unary calls. It sends the request ID of the
// call's context (idgen.FromContext) in the metadata [RequestIDKey], or a new one
// if there is none, the same for every attempt of a call. One that is in the
// outgoing metadata already is kept.
func (c *Client) Unary() grpc.UnaryClientInterceptor {
	c.mustBe()
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		ctx = withOutgoingID(ctx)
		if c.policy.Retries() == 0 {
			return invoke(ctx, method, req, reply, cc, opts...)
		}
		a := c.attempts(method)
		for {
			var trailer metadata.MD
			err := invoke(ctx, method, req, reply, cc, a.options(opts, grpc.Trailer(&trailer))...)
			if again, err := a.after(ctx, err, trailer); !again {
				return err
			}
		}
	}
}

// Stream returns the interceptor for streams of all kinds: what [Client.Unary] is
// for unary calls. With [RetryHeld] it opens server streams again, until the first
// message or headers have been asked for and arrived. Client and bidi streams it
// leaves to the retry policy of a service config, for which grpc-go keeps what was
// sent.
func (c *Client) Stream() grpc.StreamClientInterceptor {
	c.mustBe()
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		ctx = withOutgoingID(ctx)
		if c.policy.Retries() == 0 || desc.ClientStreams {
			return open(ctx, desc, cc, method, opts...)
		}
		s := &retryingStream{ctx: ctx, attempts: c.attempts(method)}
		s.open = func() (grpc.ClientStream, error) {
			return open(ctx, desc, cc, method, s.attempts.options(opts)...)
		}
		var err error
		if s.stream, err = s.open(); err != nil {
			return nil, err
		}
		return s, nil
	}
}

// mustBe panics at the wiring, not at a call.
func (c *Client) mustBe() {
	if c == nil {
		panic("grpcmw: nil *Client: NewClient has returned an error")
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

// outgoingID returns the request ID that withOutgoingID has seen to.
func outgoingID(ctx context.Context) string {
	if md, ok := metadata.FromOutgoingContext(ctx); ok && len(md[RequestIDKey]) > 0 {
		return md[RequestIDKey][0]
	}
	return ""
}
