package grpcmw_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/idgen"
)

// openStream is a stream of any kind, as a client and as a server has it.
type openStream struct {
	name string
	key  string
	// call opens the stream and drains it: it returns the end and the trailer.
	call func(context.Context, testpb.TestServiceClient) (messages int, trailer metadata.MD, err error)
	// handle sets the handler.
	handle func(*handlers, func(grpc.ServerStream) error)
	method string
}

func drain[T any](s grpc.ClientStream, recv func() (T, error)) (n int, trailer metadata.MD, err error) {
	for {
		switch _, err := recv(); {
		case errors.Is(err, io.EOF):
			return n, s.Trailer(), nil
		case err != nil:
			return n, s.Trailer(), err
		}
		n++
	}
}

var (
	ofServer = openStream{
		name: "server stream", key: serverStreamKey, method: serverStream,
		call: func(ctx context.Context, c testpb.TestServiceClient) (int, metadata.MD, error) {
			s, err := c.StreamingOutputCall(ctx, streamOrder("7"))
			if err != nil {
				return 0, nil, err
			}
			return drain(s, s.Recv)
		},
		handle: func(h *handlers, fn func(grpc.ServerStream) error) {
			h.server = func(_ *testpb.StreamingOutputCallRequest, s testpb.TestService_StreamingOutputCallServer) error {
				return fn(s)
			}
		},
	}
	ofClient = openStream{
		name: "client stream", key: clientStreamKey, method: clientStream,
		// It says nothing and stays open, so that only the server can end it.
		call: func(ctx context.Context, c testpb.TestServiceClient) (int, metadata.MD, error) {
			s, err := c.StreamingInputCall(ctx)
			if err != nil {
				return 0, nil, err
			}
			var m testpb.StreamingInputCallResponse
			if err := s.RecvMsg(&m); err != nil {
				return 0, s.Trailer(), err
			}
			return 1, s.Trailer(), nil
		},
		handle: func(h *handlers, fn func(grpc.ServerStream) error) {
			h.client = func(s testpb.TestService_StreamingInputCallServer) error { return fn(s) }
		},
	}
	ofBidi = openStream{
		name: "bidi stream", key: bidiStreamKey, method: bidiStream,
		call: func(ctx context.Context, c testpb.TestServiceClient) (int, metadata.MD, error) {
			s, err := c.FullDuplexCall(ctx)
			if err != nil {
				return 0, nil, err
			}
			return drain(s, s.Recv)
		},
		handle: func(h *handlers, fn func(grpc.ServerStream) error) {
			h.bidi = func(s testpb.TestService_FullDuplexCallServer) error { return fn(s) }
		},
	}
)

// lockedStreams are the ways in which a stream can be locked.
func lockedStreams() map[string]struct {
	openStream
	grpcmw.Key
} {
	type way = struct {
		openStream
		grpcmw.Key
	}
	return map[string]way{
		"server stream, by its request":  {ofServer, grpcmw.KeyOf(streamOrderOf)},
		"server stream, by its metadata": {ofServer, grpcmw.KeyTemplate("order:{metadata.x-order}")},
		"client stream, by its metadata": {ofClient, grpcmw.KeyTemplate("order:{metadata.x-order}")},
		"bidi stream, by its metadata":   {ofBidi, grpcmw.KeyTemplate("order:{metadata.x-order}")},
	}
}

func TestAStreamHoldsItsLockUntilItsHandlerReturns(t *testing.T) {
	for name, s := range lockedStreams() {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			var h handlers
			s.handle(&h, func(ss grpc.ServerStream) error {
				l, ok := core.FromContext(ss.Context())
				if !ok || l.Key() != s.key || l.Token() == 0 || !fake.Held(s.key) {
					t.Errorf("the handler's lock is %v, %v", l, ok)
				}
				if id, ok := idgen.FromContext(ss.Context()); !ok || !idgen.ValidRequestID(id) {
					t.Errorf("the handler's request ID is %q, %v", id, ok)
				}
				return status.Error(codes.OutOfRange, "mine")
			})
			c := serve(t, mustNew(t, fake, grpcmw.For(s.method, s.Key)), &h)
			_, trailer, err := s.call(withOrder(timeout(t), "7"), c)
			if status.Code(err) != codes.OutOfRange || status.Convert(err).Message() != "mine" || len(trailer[grpcmw.RequestIDKey]) != 1 {
				t.Errorf("got %v, trailer %v", err, trailer)
			}
			if err := fake.AwaitFree(timeout(t), s.key); err != nil {
				t.Errorf("still locked: %v", err)
			}
		})
	}
}

func TestADeniedStreamNeverRunsItsHandlerAndSendsNoHeader(t *testing.T) {
	for name, s := range lockedStreams() {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			defer fake.Hold(s.key)()
			var h handlers
			s.handle(&h, func(grpc.ServerStream) error { t.Error("ran"); return nil })
			// An interceptor between the lock and the handler that sets headers
			// before a request has arrived.
			eager := func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
				// Past the stream, as some do.
				if err := grpc.SendHeader(ss.Context(), metadata.Pairs("x-eager", "1")); err != nil {
					t.Error(err)
				}
				return next(srv, ss)
			}
			heads := make(chan metadata.MD, 1)
			m := mustNew(t, fake, grpcmw.For(s.method, s.Key, grpcmw.Wait(0)))
			c := serveWith(t, append(m.ServerOptions(), grpc.ChainStreamInterceptor(eager)), &h,
				grpc.WithStreamInterceptor(func(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
					cs, err := next(ctx, d, cc, method, opts...)
					if err == nil {
						go func() { md, _ := cs.Header(); heads <- md }()
					}
					return cs, err
				}))
			_, trailer, err := s.call(withOrder(timeout(t), "7"), c)
			a := answerOf(t, err, trailer)
			if a.code != codes.Aborted || a.reason != core.ReasonHeld || !a.info || len(a.pushback) != 1 {
				t.Errorf("got %+v (%v)", a, err)
			}
			if md := <-heads; md.Len() > 1 {
				t.Errorf("headers %v", md)
			}
		})
	}
}

func TestHeadersSetBeforeTheRequestAreSentOnceItIsLocked(t *testing.T) {
	for _, send := range []bool{false, true} {
		m := mustNew(t, locktest.New(), grpcmw.For(serverStream, grpcmw.KeyOf(streamOrderOf)))
		early := func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			set := ss.SetHeader
			if send {
				set = ss.SendHeader
			}
			if err := errors.Join(grpc.SetHeader(ss.Context(), metadata.Pairs("x-of-context", "1")), set(metadata.Pairs("x-early", "1"))); err != nil {
				t.Error(err)
			}
			return next(srv, ss)
		}
		c := serveWith(t, append(m.ServerOptions(), grpc.ChainStreamInterceptor(early)), &handlers{
			server: func(_ *testpb.StreamingOutputCallRequest, s testpb.TestService_StreamingOutputCallServer) error {
				err := s.SetHeader(metadata.Pairs("x-late", "1"))
				if (err != nil) != send { // after SendHeader it is too late
					t.Errorf("SetHeader in the handler, headers sent %v: %v", send, err)
				}
				if _, err := grpc.ClientSupportedCompressors(s.Context()); err != nil {
					t.Errorf("the transport's stream is not in the context: %v", err)
				}
				if err := s.SendHeader(nil); (err != nil) != send {
					t.Errorf("SendHeader in the handler, headers sent %v: %v", send, err)
				}
				return s.Send(&testpb.StreamingOutputCallResponse{})
			},
		})
		s, err := c.StreamingOutputCall(timeout(t), streamOrder("7"))
		if err != nil {
			t.Fatal(err)
		}
		md, err := s.Header()
		if err != nil || len(md["x-early"]) != 1 || len(md["x-of-context"]) != 1 || (len(md["x-late"]) == 1) == send {
			t.Errorf("send %v: headers %v, %v", send, md, err)
		}
		if n, _, err := drain(s, s.Recv); n != 1 || err != nil {
			t.Errorf("%d messages, %v", n, err)
		}
	}
}

// Its answer is no denial, so that nothing speaks against headers.
func TestAnInterceptorInsideThatRefusesAStreamSendsItsHeaders(t *testing.T) {
	refuse := func(_ any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, _ grpc.StreamHandler) error {
		return errors.Join(ss.SetHeader(metadata.Pairs("x-early", "1")), status.Error(codes.Unauthenticated, "who are you?"))
	}
	m := mustNew(t, locktest.New(), grpcmw.For(serverStream, grpcmw.KeyOf(streamOrderOf)))
	c := serveWith(t, append(m.ServerOptions(), grpc.ChainStreamInterceptor(refuse)), &handlers{})
	s, err := c.StreamingOutputCall(timeout(t), streamOrder("7"))
	if err != nil {
		t.Fatal(err)
	}
	if md, err := s.Header(); len(md["x-early"]) != 1 {
		t.Errorf("headers %v, %v", md, err)
	}
	if _, err := s.Recv(); status.Code(err) != codes.Unauthenticated {
		t.Error(err)
	}
}

func TestStreamsWithOneKeyTakeTurns(t *testing.T) {
	for name, s := range lockedStreams() {
		t.Run(name, func(t *testing.T) {
			ctx := withOrder(timeout(t), "7")
			fake := locktest.New()
			entered, leave := make(chan uint64), make(chan struct{})
			var h handlers
			s.handle(&h, func(ss grpc.ServerStream) error {
				l, _ := core.FromContext(ss.Context())
				entered <- l.Token()
				<-leave
				return status.Error(codes.OutOfRange, "done")
			})
			c := serve(t, mustNew(t, fake, grpcmw.For(s.method, s.Key)), &h)
			ends := make(chan error, 2)
			for range 2 {
				go func() { _, _, err := s.call(ctx, c); ends <- err }()
			}
			first := <-entered
			if err := fake.AwaitWaiting(ctx, s.key, 1); err != nil {
				t.Fatal(err)
			}
			leave <- struct{}{}
			if second := <-entered; second <= first {
				t.Errorf("token %d after %d", second, first)
			}
			leave <- struct{}{}
			for range 2 {
				if err := <-ends; status.Code(err) != codes.OutOfRange {
					t.Error(err)
				}
			}
		})
	}
}

func TestAStreamsPanicPassesThroughUnchangedAfterTheRelease(t *testing.T) {
	for name, s := range lockedStreams() {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			value := &struct{ s string }{"the very same"}
			recovery := func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
				defer func() {
					if p := recover(); p != value {
						t.Errorf("recovered %v", p)
					}
					if fake.Held(s.key) {
						t.Error("still locked")
					}
					err = status.Error(codes.DataLoss, "recovered")
				}()
				return next(srv, ss)
			}
			denied := false
			m := mustNew(t, fake, grpcmw.For(s.method, s.Key), grpcmw.OnDeny(func(context.Context, *core.Denial) error { denied = true; return nil }))
			var h handlers
			s.handle(&h, func(grpc.ServerStream) error { fake.Lose(s.key); panic(value) })
			c := serveWith(t, append([]grpc.ServerOption{grpc.ChainStreamInterceptor(recovery)}, m.ServerOptions()...), &h)
			if _, _, err := s.call(withOrder(timeout(t), "7"), c); status.Code(err) != codes.DataLoss || denied {
				t.Errorf("got %v, denied %v", err, denied)
			}
		})
	}
}

func TestAStreamWithoutAKeyIsRejectedOrRunsUnlocked(t *testing.T) {
	for name, s := range map[string]struct {
		openStream
		grpcmw.Key
	}{
		"by its request":  {ofServer, grpcmw.KeyOf(func(*testpb.StreamingOutputCallRequest) string { return "" })},
		"by its metadata": {ofBidi, grpcmw.KeyTemplate("order:{metadata.x-none}")},
	} {
		for _, policy := range []grpcmw.MissingPolicy{grpcmw.Reject, grpcmw.Skip} {
			t.Run(name, func(t *testing.T) {
				ran := false
				var h handlers
				s.handle(&h, func(ss grpc.ServerStream) error {
					ran = true
					if _, locked := core.FromContext(ss.Context()); locked {
						t.Error("there is a lock")
					}
					if _, ok := idgen.FromContext(ss.Context()); !ok {
						t.Error("there is no request ID")
					}
					if _, err := grpc.ClientSupportedCompressors(ss.Context()); err != nil {
						t.Errorf("the transport's stream is not in the context: %v", err)
					}
					return ss.SendMsg(&testpb.StreamingOutputCallResponse{})
				})
				fake := locktest.New()
				outer := mustNew(t, fake, grpcmw.For(s.method, grpcmw.KeyTemplate("order:{metadata.user-agent}"))) // on another key
				m := mustNew(t, fake, grpcmw.For(s.method, s.Key, grpcmw.OnMissing(policy)))
				c := serveWith(t, append(outer.ServerOptions(), m.ServerOptions()...), &h)
				n, trailer, err := s.call(timeout(t), c)
				if policy == grpcmw.Skip {
					wantAnswer(t, err, trailer, codes.OK, "", "")
				} else {
					wantAnswer(t, err, trailer, codes.InvalidArgument, core.ReasonKeyMissing, "")
				}
				if ran != (policy == grpcmw.Skip) || (n == 1) != ran {
					t.Errorf("ran %v, %d messages", ran, n)
				}
			})
		}
	}
}

func TestAKeyThatNeedsARequestIsRefusedOnClientAndBidiStreams(t *testing.T) {
	for _, s := range []openStream{ofClient, ofBidi} {
		t.Run(s.name, func(t *testing.T) {
			var h handlers
			s.handle(&h, func(grpc.ServerStream) error { t.Error("ran"); return nil })
			c := serve(t, mustNew(t, locktest.New(), grpcmw.For(s.method, grpcmw.KeyOf(streamOrderOf))), &h)
			_, trailer, err := s.call(timeout(t), c)
			wantAnswer(t, err, trailer, codes.Internal, core.ReasonInternal, "-1")
		})
	}
}
