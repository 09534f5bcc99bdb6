package grpcmw_test

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	"github.com/latchkey-go/latchkey/grpcmw"
)

const (
	unary        = testpb.TestService_UnaryCall_FullMethodName
	serverStream = testpb.TestService_StreamingOutputCall_FullMethodName
	clientStream = testpb.TestService_StreamingInputCall_FullMethodName
	bidiStream   = testpb.TestService_FullDuplexCall_FullMethodName
)

// The keys of a call for order 7, as keys.Template makes them.
const (
	unaryKey        = "order:7"
	serverStreamKey = "order:7"
	clientStreamKey = "order:7"
	bidiStreamKey   = "order:7"
)

func orderOf(r *testpb.SimpleRequest) string { return orderKey(string(r.GetPayload().GetBody())) }

func streamOrderOf(r *testpb.StreamingOutputCallRequest) string {
	return orderKey(string(r.GetPayload().GetBody()))
}

func orderKey(id string) string {
	if id == "" {
		return ""
	}
	return keys.Join("order", id)
}

func order(id string) *testpb.SimpleRequest {
	return &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte(id)}}
}

func streamOrder(id string) *testpb.StreamingOutputCallRequest {
	return &testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: []byte(id)}}
}

func withOrder(ctx context.Context, id string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "x-order", id)
}

// handlers is a TestService made of functions.
type handlers struct {
	testpb.UnimplementedTestServiceServer
	unary  func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error)
	server func(*testpb.StreamingOutputCallRequest, testpb.TestService_StreamingOutputCallServer) error
	client func(testpb.TestService_StreamingInputCallServer) error
	bidi   func(testpb.TestService_FullDuplexCallServer) error
}

func (h *handlers) EmptyCall(ctx context.Context, _ *testpb.Empty) (*testpb.Empty, error) {
	_, err := h.unary(ctx, nil)
	return &testpb.Empty{}, err
}

func (h *handlers) UnaryCall(ctx context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return h.unary(ctx, r)
}

func (h *handlers) StreamingOutputCall(r *testpb.StreamingOutputCallRequest, s testpb.TestService_StreamingOutputCallServer) error {
	return h.server(r, s)
}

func (h *handlers) StreamingInputCall(s testpb.TestService_StreamingInputCallServer) error {
	return h.client(s)
}

func (h *handlers) FullDuplexCall(s testpb.TestService_FullDuplexCallServer) error { return h.bidi(s) }

func ok(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{}, nil
}

func mustNew(t testing.TB, l core.Locker, opts ...grpcmw.Option) *grpcmw.Middleware {
	t.Helper()
	m, err := grpcmw.New(l, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// serve serves h behind m, over TCP, until the test is over.
func serve(t testing.TB, m *grpcmw.Middleware, h *handlers, opts ...grpc.DialOption) testpb.TestServiceClient {
	t.Helper()
	return serveWith(t, m.ServerOptions(), h, opts...)
}

func serveWith(t testing.TB, server []grpc.ServerOption, h *handlers, opts ...grpc.DialOption) testpb.TestServiceClient {
	t.Helper()
	return testpb.NewTestServiceClient(serveAny(t, server, func(s *grpc.Server) { testpb.RegisterTestServiceServer(s, h) }, opts...))
}

// serveAny serves what register registers and returns a connection to it.
func serveAny(t testing.TB, server []grpc.ServerOption, register func(*grpc.Server), opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(server...)
	register(srv)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	conn, err := grpc.NewClient(l.Addr().String(), append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// timeout bounds a test's calls, so that a fault is a failure and not a hang.
func timeout(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// answer is what a client gets to see of a call's end.
type answer struct {
	code     codes.Code
	reason   core.Reason
	info     bool // there is a RetryInfo
	delay    time.Duration
	fields   []string // of a BadRequest
	pushback []string
}

func answerOf(t testing.TB, err error, trailer metadata.MD) answer {
	t.Helper()
	st := status.Convert(err)
	a := answer{code: st.Code(), pushback: trailer["grpc-retry-pushback-ms"]}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			a.reason = core.Reason(d.GetReason())
			if d.GetDomain() != grpcmw.ErrorDomain {
				t.Errorf("domain %q", d.GetDomain())
			}
		case *errdetails.RetryInfo:
			a.info, a.delay = true, d.GetRetryDelay().AsDuration()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				a.fields = append(a.fields, v.GetField()+" "+v.GetDescription())
			}
		default:
			t.Errorf("unexpected detail %T", d)
		}
	}
	return a
}

func wantAnswer(t testing.TB, err error, trailer metadata.MD, code codes.Code, reason core.Reason, pushback string) {
	t.Helper()
	a := answerOf(t, err, trailer)
	got := ""
	if len(a.pushback) > 0 {
		got = a.pushback[0]
	}
	if a.code != code || a.reason != reason || got != pushback || len(a.pushback) > 1 {
		t.Errorf("got %v %s, pushback %q, want %v %s, %q (%v)", a.code, a.reason, a.pushback, code, reason, pushback, err)
	}
}
