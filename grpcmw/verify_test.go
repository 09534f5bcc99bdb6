package grpcmw_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

func services() map[string]grpc.ServiceInfo {
	srv := grpc.NewServer()
	defer srv.Stop()
	testpb.RegisterTestServiceServer(srv, &handlers{})
	healthpb.RegisterHealthServer(srv, health.NewServer())
	// A service of which only the names are known.
	srv.RegisterService(&grpc.ServiceDesc{
		ServiceName: "hand.Made", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Any"}},
	}, struct{}{})
	// One that the descriptor does not say everything of.
	srv.RegisterService(&grpc.ServiceDesc{
		ServiceName: testpb.LoadBalancerStatsService_ServiceDesc.ServiceName, HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "More"}},
	}, struct{}{})
	return srv.GetServiceInfo()
}

func TestVerifyListsEveryFault(t *testing.T) {
	m := mustNew(t, locktest.New(),
		grpcmw.For(unary, grpcmw.KeyOf(func(*testpb.Empty) string { return "" })),
		grpcmw.For("/grpc.testing.TestService/Unary", grpcmw.KeyTemplate("order:{metadata.x-order}")),
		grpcmw.For(clientStream, grpcmw.KeyOf(func(*testpb.StreamingInputCallRequest) string { return "" })),
		grpcmw.For(bidiStream, grpcmw.KeyFunc(nothing)),
		grpcmw.For(serverStream, grpcmw.KeyOf(orderOf)),
		grpcmw.For(testpb.TestService_EmptyCall_FullMethodName, grpcmw.KeyOf(func(r interface{ GetOrderId() string }) string { return r.GetOrderId() })),
		grpcmw.For(testpb.TestService_CacheableUnaryCall_FullMethodName, grpcmw.KeyOf(func(s string) string { return s })),
		grpcmw.For("/no.Such/Method", grpcmw.KeyFunc(nothing)),
	)
	err := m.Verify(services())
	if !errors.Is(err, core.ErrOption) {
		t.Fatalf("got %v", err)
	}
	const golden = `core: invalid option: grpcmw: method "/grpc.testing.TestService/CacheableUnaryCall" has requests of type grpc.testing.SimpleRequest, and its key is a function of string
core: invalid option: grpcmw: method "/grpc.testing.TestService/EmptyCall" has requests of type grpc.testing.Empty, and its key is a function of interface { GetOrderId() string }
core: invalid option: grpcmw: method "/grpc.testing.TestService/FullDuplexCall" is a bidi stream, and its key (function) needs a request message: use metadata
core: invalid option: grpcmw: method "/grpc.testing.TestService/StreamingInputCall" is a client stream, and its key (function of *grpc_testing.StreamingInputCallRequest) needs a request message: use metadata
core: invalid option: grpcmw: method "/grpc.testing.TestService/StreamingOutputCall" has requests of type grpc.testing.StreamingOutputCallRequest, and its key is a function of *grpc_testing.SimpleRequest
core: invalid option: grpcmw: method "/grpc.testing.TestService/Unary" is not registered
core: invalid option: grpcmw: method "/grpc.testing.TestService/UnaryCall" has requests of type grpc.testing.SimpleRequest, and its key is a function of *grpc_testing.Empty
core: invalid option: grpcmw: method "/no.Such/Method" is not registered`
	if err.Error() != golden {
		t.Errorf("got\n%v\nwant\n%s", err, golden)
	}
}

func TestVerifyAcceptsWhatCanBeLocked(t *testing.T) {
	m := mustNew(t, locktest.New(),
		grpcmw.For(unary, grpcmw.KeyOf(orderOf)),
		grpcmw.For(serverStream, grpcmw.KeyOf(streamOrderOf)),
		grpcmw.For(clientStream, grpcmw.KeyTemplate("order:{metadata.x-order}")),
		grpcmw.For(bidiStream, grpcmw.KeyTemplate("k:{metadata.x-order}")),
		grpcmw.For(testpb.TestService_EmptyCall_FullMethodName, grpcmw.KeyOf(func(any) string { return "all" })),
		grpcmw.For(testpb.TestService_CacheableUnaryCall_FullMethodName, grpcmw.KeyOf(func(m *dynamicpb.Message) string { return m.String() })),
		grpcmw.For("/hand.Made/Any", grpcmw.KeyOf(orderOf)),
		grpcmw.For("/grpc.testing.LoadBalancerStatsService/More", grpcmw.KeyOf(orderOf)),
		grpcmw.For(healthpb.Health_Check_FullMethodName, grpcmw.KeyOf((*healthpb.HealthCheckRequest).GetService)),
	)
	if err := m.Verify(services()); err != nil {
		t.Error(err)
	}
	if err := mustNew(t, locktest.New()).Verify(nil); err != nil {
		t.Error(err)
	}
}

func nothing(context.Context, any) (string, error) { return "", nil }
