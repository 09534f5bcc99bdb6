package grpcmw_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

// shop is a service that must not work on one order twice at once.
type shop struct {
	testpb.UnimplementedTestServiceServer
}

func (shop) UnaryCall(ctx context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	lock, _ := core.FromContext(ctx)
	return &testpb.SimpleResponse{Username: fmt.Sprintf("order %s, fencing token %d", r.GetPayload().GetBody(), lock.Token())}, nil
}

// start serves the shop behind m and returns a client.
func start(m *grpcmw.Middleware) (testpb.TestServiceClient, func()) {
	conn, stop := dial(m, func(s *grpc.Server) { testpb.RegisterTestServiceServer(s, shop{}) })
	return testpb.NewTestServiceClient(conn), stop
}

// dial serves what register registers behind m, in memory, and connects to it.
func dial(m *grpcmw.Middleware, register func(*grpc.Server), opts ...grpc.DialOption) (*grpc.ClientConn, func()) {
	srv := grpc.NewServer(m.ServerOptions()...)
	register(srv)
	if err := m.Verify(srv.GetServiceInfo()); err != nil {
		log.Fatal(err)
	}
	l := bufconn.Listen(1 << 16)
	go func() { _ = srv.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///shop", append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))...)
	if err != nil {
		log.Fatal(err)
	}
	return conn, func() { _ = conn.Close(); srv.Stop() }
}

func Example() {
	locker := locktest.New() // a core.Locker: core.New in a service
	m, err := grpcmw.New(locker,
		grpcmw.For(testpb.TestService_UnaryCall_FullMethodName,
			grpcmw.KeyOf(func(r *testpb.SimpleRequest) string { return keys.Join("order", string(r.GetPayload().GetBody())) })))
	if err != nil {
		log.Fatal(err)
	}
	client, stop := start(m)
	defer stop()

	for range 2 {
		reply, err := client.UnaryCall(context.Background(), order("42"))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(reply.GetUsername())
	}
	// Output:
	// order 42, fencing token 1
	// order 42, fencing token 2
}

// A client sees what became of a call that was denied in the status' details.
func ExampleFor() {
	locker := locktest.New()
	defer locker.Hold("order:42")() // by another replica
	m, err := grpcmw.New(locker,
		grpcmw.For(testpb.TestService_UnaryCall_FullMethodName, grpcmw.KeyTemplate("order:{metadata.x-order}"), grpcmw.Wait(0)))
	if err != nil {
		log.Fatal(err)
	}
	client, stop := start(m)
	defer stop()

	_, err = client.UnaryCall(withOrder(context.Background(), "42"), order("42"))
	st := status.Convert(err)
	fmt.Println(st.Code(), "-", st.Message())
	_, err = client.UnaryCall(context.Background(), order("42"))
	st = status.Convert(err)
	fmt.Println(st.Code(), "-", st.Message())
	// Output:
	// Aborted - Another request with the same lock key is being processed.
	// InvalidArgument - The request lacks a part of its lock key.
}

// What would go wrong with the first call is found when the server starts.
func ExampleMiddleware_Verify() {
	m, err := grpcmw.New(locktest.New(),
		grpcmw.For("/grpc.testing.TestService/UnaryCal", grpcmw.KeyTemplate("order:{metadata.x-order}")),
		grpcmw.For(testpb.TestService_FullDuplexCall_FullMethodName, grpcmw.KeyOf(streamOrderOf)))
	if err != nil {
		log.Fatal(err)
	}
	srv := grpc.NewServer(m.ServerOptions()...)
	testpb.RegisterTestServiceServer(srv, shop{})
	fmt.Println(m.Verify(srv.GetServiceInfo()))
	// Output:
	// core: invalid option: grpcmw: method "/grpc.testing.TestService/FullDuplexCall" is a bidi stream, and its key (function of *grpc_testing.StreamingOutputCallRequest) needs a request message: use metadata
	// core: invalid option: grpcmw: method "/grpc.testing.TestService/UnaryCal" is not registered
}

// A hook logs what the client is not told.
func ExampleOnDeny() {
	locker := locktest.New()
	defer locker.Hold("order:42", core.WithMeta(core.Meta{Host: "replica-2"}))()
	m, err := grpcmw.New(locker,
		grpcmw.For(testpb.TestService_UnaryCall_FullMethodName, grpcmw.KeyTemplate("order:{metadata.x-order}")),
		grpcmw.Wait(0),
		grpcmw.OnDeny(func(ctx context.Context, d *core.Denial) error {
			fmt.Printf("%s: held by %s (%v)\n", d.Reason, d.Holder.Host, d.Cause)
			return nil // the usual answer
		}))
	if err != nil {
		log.Fatal(err)
	}
	client, stop := start(m)
	defer stop()

	_, err = client.UnaryCall(withOrder(context.Background(), "42"), order("42"))
	fmt.Println(status.Code(err))
	// Output:
	// LOCK_HELD: held by replica-2 (core: the key is held by another request (key "order:42"))
	// Aborted
}
