package grpcmw_test

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

// stuckStream is of a client that takes no message and sends none. What is blocked
// ends with the call, as in grpc-go.
type stuckStream struct {
	fakeStream
	blocked atomic.Int32
}

func (s *stuckStream) SendMsg(any) error { return s.block() }
func (s *stuckStream) RecvMsg(any) error { return s.block() }

func (s *stuckStream) block() error {
	s.blocked.Add(1)
	<-s.ctx.Done()
	return s.ctx.Err()
}

var (
	clientInfo = &grpc.StreamServerInfo{FullMethod: clientStream, IsClientStream: true}
	bidiInfo   = &grpc.StreamServerInfo{FullMethod: bidiStream, IsClientStream: true, IsServerStream: true}
)

func send(s grpc.ServerStream) error { return s.SendMsg(&testpb.StreamingOutputCallResponse{}) }

func TestAClientThatKeepsItsHandlerWaitingLosesItsCall(t *testing.T) {
	const idle, hold = 10 * time.Second, time.Minute
	for _, c := range []struct {
		name    string
		info    *grpc.StreamServerInfo
		blocked func(grpc.ServerStream) error
		opts    []grpcmw.MethodOption
		after   time.Duration
	}{
		{"a server stream, sending", serverInfo, send, nil, idle},
		{"a bidi stream, sending", bidiInfo, send, nil, idle},
		{"a client stream, sending", clientInfo, send, nil, idle},
		{"a client stream, receiving", clientInfo, receive, nil, idle},
		{"a server stream, receiving its request", serverInfo, receive, nil, idle},
		{"of the method's own time", bidiInfo, send, []grpcmw.MethodOption{grpcmw.ClientTimeout(3 * time.Second)}, 3 * time.Second},
		// For MaxHold at most, whatever is blocked.
		{"a bidi stream, receiving", bidiInfo, receive, nil, hold},
		{"without a bound, sending", serverInfo, send, []grpcmw.MethodOption{grpcmw.ClientTimeout(0)}, hold},
		{"without a bound, receiving", clientInfo, receive, []grpcmw.MethodOption{grpcmw.ClientTimeout(0)}, hold},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := locktest.New()
				m := mustNew(t, fake, grpcmw.MaxHold(hold), grpcmw.For(c.info.FullMethod, grpcmw.KeyTemplate("order:{metadata.x-order}"), c.opts...))
				ctx, end := context.WithCancel(metadata.NewIncomingContext(t.Context(), metadata.Pairs("x-order", "7")))
				defer end()
				start := time.Now()
				stuck := &stuckStream{fakeStream: fakeStream{ctx: ctx}}
				var key string
				err := m.Stream()(nil, stuck, c.info, func(_ any, s grpc.ServerStream) error {
					lock, _ := core.FromContext(s.Context())
					key = lock.Key()
					first, again := c.blocked(s), c.blocked(s)
					if first == nil || again == nil || s.Context().Err() == nil {
						t.Errorf("got %v, %v, context %v", first, again, s.Context().Err())
					}
					if isIdle := errors.Is(context.Cause(s.Context()), os.ErrDeadlineExceeded); isIdle != (c.after < hold) {
						t.Errorf("the context's cause is %v", context.Cause(s.Context()))
					}
					return nil // not even an error
				})
				if took := time.Since(start); took != c.after || fake.Held(key) {
					t.Errorf("after %v, held %v, want free after %v", took, fake.Held(key), c.after)
				}
				switch {
				case c.after < hold:
					wantAnswer(t, err, stuck.trailer, codes.DeadlineExceeded, "", "-1")
				case c.name == "without a bound, sending": // as if sent: the handler's own result
				default:
					wantAnswer(t, err, stuck.trailer, codes.Internal, core.ReasonLost, "-1")
				}
				end()
				synctest.Wait()
				if n := stuck.blocked.Load(); n != 1 { // two at once are not safe
					t.Errorf("%d calls of the stream beneath", n)
				}
			})
		})
	}
}

// The time that is the handler's own is not the client's.
func TestAHandlerThatTakesItsTimeIsNotCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, locktest.New(), grpcmw.For(serverStream, grpcmw.KeyTemplate("order:{metadata.x-order}")))
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("x-order", "7"))
		stream := &fakeStream{ctx: ctx}
		err := m.Stream()(nil, stream, serverInfo, func(_ any, s grpc.ServerStream) error {
			for range 3 {
				time.Sleep(time.Minute)
				if err := errors.Join(receive(s), send(s)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || stream.sent != 3 {
			t.Errorf("%v, %d messages", err, stream.sent)
		}
	})
}

// Over a real connection, whose window a client that does not read leaves full.
func TestAClientThatDoesNotReadDoesNotKeepTheKey(t *testing.T) {
	t.Parallel()
	const maxHold, ttl = 2 * time.Second, 20 * time.Second
	for name, c := range map[string]struct {
		opts  []grpcmw.Option
		cause error
		serve func(testing.TB, []grpc.ServerOption, func(*grpc.Server)) *grpc.ClientConn
	}{
		"at MaxHold":                        {[]grpcmw.Option{grpcmw.MaxHold(maxHold)}, core.ErrMaxHold, plain},
		"at MaxHold, behind net/http":       {[]grpcmw.Option{grpcmw.MaxHold(maxHold)}, core.ErrMaxHold, netHTTP},
		"at ClientTimeout":                  {[]grpcmw.Option{grpcmw.ClientTimeout(time.Second)}, os.ErrDeadlineExceeded, plain},
		"at ClientTimeout, behind net/http": {[]grpcmw.Option{grpcmw.ClientTimeout(time.Second)}, os.ErrDeadlineExceeded, netHTTP},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			locker, err := core.New(locktest.StartRedis(t).Client(&redis.Options{}))
			if err != nil {
				t.Fatal(err)
			}
			defer locker.Close()
			failed := make(chan error, 2)
			h := &handlers{
				unary: ok,
				server: func(_ *testpb.StreamingOutputCallRequest, s testpb.TestService_StreamingOutputCallServer) error {
					for {
						if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, 32<<10)}}); err != nil {
							failed <- context.Cause(s.Context())
							return err
						}
					}
				},
			}
			key := grpcmw.KeyTemplate("order:{field.payload.body}")
			m := mustNew(t, locker, append(c.opts, grpcmw.TTL(ttl), grpcmw.Wait(15*time.Second),
				grpcmw.For(serverStream, key, grpcmw.Name("order")), grpcmw.For(unary, key, grpcmw.Name("order")))...)
			client := testpb.NewTestServiceClient(c.serve(t, m.ServerOptions(), func(s *grpc.Server) { testpb.RegisterTestServiceServer(s, h) }))
			ctx := timeout(t)
			stream, err := client.StreamingOutputCall(ctx, streamOrder("7"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil { // it is under way, and read no more
				t.Fatal(err)
			}
			// Its patience ends before the lease does.
			if _, err := client.UnaryCall(ctx, order("7")); err != nil {
				t.Errorf("the key is still held: %v", err)
			}
			if err := <-failed; !errors.Is(err, c.cause) {
				t.Errorf("the handler was told %v, want %v", err, c.cause)
			}
		})
	}
}

func plain(t testing.TB, opts []grpc.ServerOption, register func(*grpc.Server)) *grpc.ClientConn {
	return serveAny(t, opts, register)
}

func netHTTP(t testing.TB, opts []grpc.ServerOption, register func(*grpc.Server)) *grpc.ClientConn {
	return serveHTTP(t, opts, register, nil)
}
