package grpcmw_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

// counter is a service that says whether it runs under a lock.
type counter struct {
	testpb.UnimplementedTestServiceServer
}

func (counter) UnaryCall(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	_, locked := core.FromContext(ctx)
	return &testpb.SimpleResponse{Username: fmt.Sprint("locked: ", locked)}, nil
}

// unaryCall is what a gateway calls: a client, or the service itself.
type unaryCall func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error)

// gateway stands for the code that grpc-gateway generates: PUT /orders/42 becomes
// a call.
func gateway(call unaryCall) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reply, err := call(r.Context(), order(strings.TrimPrefix(r.URL.Path, "/orders/")))
		if err != nil {
			answer := map[codes.Code]int{codes.Aborted: http.StatusConflict}[status.Code(err)]
			http.Error(w, status.Convert(err).Message(), answer)
			return
		}
		fmt.Fprintln(w, reply.GetUsername())
	})
}

func put(h http.Handler, path string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPut, path, nil))
	fmt.Print(w.Code, " ", w.Body)
}

// What grpc-gateway generates as RegisterXHandlerServer calls the service itself:
// no interceptor runs, so that nothing is locked, and Verify cannot know. Register the
// gateway with a client of the server: RegisterXHandlerFromEndpoint, or
// RegisterXHandlerClient with a connection in memory, as here.
func ExampleMiddleware_ServerOptions_gateway() {
	m, err := grpcmw.New(locktest.New(), grpcmw.For(testpb.TestService_UnaryCall_FullMethodName, grpcmw.KeyOf(orderOf)))
	if err != nil {
		log.Fatal(err)
	}
	put(gateway(counter{}.UnaryCall), "/orders/42") // RegisterXHandlerServer: not like this

	conn, stop := dial(m, func(s *grpc.Server) { testpb.RegisterTestServiceServer(s, counter{}) })
	defer stop()
	client := testpb.NewTestServiceClient(conn)
	put(gateway(func(ctx context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		return client.UnaryCall(ctx, r) // RegisterXHandlerClient
	}), "/orders/42")
	// Output:
	// 200 locked: false
	// 200 locked: true
}

// lockedCounter is a counter whose calls pass through an interceptor, whoever makes
// them. It is for the gateway only: a server with the Middleware's options registers
// the counter itself, or a call would wait for its own lock.
type lockedCounter struct {
	counter
	lock grpc.UnaryServerInterceptor
}

func (s lockedCounter) UnaryCall(ctx context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	info := &grpc.UnaryServerInfo{Server: s, FullMethod: testpb.TestService_UnaryCall_FullMethodName}
	reply, err := s.lock(ctx, r, info, func(ctx context.Context, _ any) (any, error) { return s.counter.UnaryCall(ctx, r) })
	if err != nil {
		return nil, err
	}
	return reply.(*testpb.SimpleResponse), nil
}

// Where a gateway is to call the service itself (RegisterXHandlerServer), without a
// connection in between, give it a service that calls the interceptor by hand.
func ExampleMiddleware_Unary_gateway() {
	m, err := grpcmw.New(locktest.New(), grpcmw.For(testpb.TestService_UnaryCall_FullMethodName, grpcmw.KeyOf(orderOf)))
	if err != nil {
		log.Fatal(err)
	}
	service := lockedCounter{lock: m.Unary()}
	put(gateway(service.UnaryCall), "/orders/42")
	// Output:
	// 200 locked: true
}
