package grpcmw_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
	orderspb "github.com/latchkey-go/latchkey/grpcmw/internal/testpb"
)

// orderShop's Update declares its lock in its .proto file:
//
//	rpc Update(UpdateRequest) returns (Reply) {
//	  option (latchkey.v1.lock) = {key: "order:{field.order.id}" wait: {seconds: 2} …};
//	}
type orderShop struct {
	orderspb.UnimplementedOrdersServer
}

func (orderShop) Update(ctx context.Context, r *orderspb.UpdateRequest) (*orderspb.Reply, error) {
	lock, _ := core.FromContext(ctx)
	fmt.Println("runs under", lock.Key())
	return &orderspb.Reply{Token: lock.Token()}, nil
}

// What is locked, and for how long a call waits, stands beside the method in its
// .proto file.
func ExampleFromProtoOptions() {
	m, err := grpcmw.New(locktest.New(), grpcmw.FromProtoOptions())
	if err != nil {
		log.Fatal(err)
	}
	conn, stop := dial(m, func(s *grpc.Server) { orderspb.RegisterOrdersServer(s, orderShop{}) })
	defer stop()
	reply, err := orderspb.NewOrdersClient(conn).Update(context.Background(), &orderspb.UpdateRequest{Order: &orderspb.Order{Id: "42"}})
	fmt.Println("token", reply.GetToken(), err)
	// Output:
	// runs under order:42
	// token 1 <nil>
}

// Every row of the table of denials, as a client gets to see it.
func Example_denials() {
	locker := locktest.New()
	key := grpcmw.KeyTemplate("order:{metadata.x-order}")
	call := func(ctx context.Context, handle func(context.Context) error, opts ...grpcmw.MethodOption) *status.Status {
		m, err := grpcmw.New(locker, grpcmw.For(testpb.TestService_UnaryCall_FullMethodName, key, opts...))
		if err != nil {
			log.Fatal(err)
		}
		conn, stop := dial(m, func(s *grpc.Server) { testpb.RegisterTestServiceServer(s, &asked{handle: handle}) })
		defer stop()
		_, err = testpb.NewTestServiceClient(conn).UnaryCall(ctx, order(""))
		return status.Convert(err)
	}
	show := func(st *status.Status) { fmt.Println(describe(st)) }
	nothing := func(context.Context) error { return nil }
	none := context.Background()
	one := withOrder(none, "42")

	release := locker.Hold("order:42")
	show(call(one, nothing, grpcmw.Wait(0)))
	show(call(one, nothing, grpcmw.Wait(time.Millisecond)))
	show(call(one, nothing, grpcmw.MaxWaiters(0)))
	late, cancel := context.WithTimeout(one, 50*time.Millisecond)
	fmt.Println(call(late, nothing).Code()) // the client does not wait for the server to say so
	cancel()
	gone, cancel := context.WithCancel(one)
	go func() {
		_ = locker.AwaitWaiting(gone, "order:42", 1)
		cancel()
	}()
	fmt.Println(call(gone, nothing).Code())
	release()
	show(call(none, nothing))
	show(call(withOrder(one, "43"), nothing))
	locker.FailBackend(context.DeadlineExceeded)
	show(call(one, nothing))
	locker.FailBackend(nil)
	show(call(one, func(ctx context.Context) error { locker.Lose("order:42"); return nil }))
	show(call(one, func(ctx context.Context) error { return core.ErrStale }))
	guard, err := core.NewGuard(locker) // as behind something else that takes the same lock
	if err != nil {
		log.Fatal(err)
	}
	show(call(one, func(ctx context.Context) error { return guard.Run(ctx, "order:42", nothing) }))
	_ = locker.Close()
	show(call(one, nothing))
	// Output:
	// Aborted LOCK_HELD RetryInfo
	// Aborted LOCK_WAIT_TIMEOUT RetryInfo
	// ResourceExhausted LOCK_QUEUE_FULL RetryInfo
	// DeadlineExceeded
	// Canceled
	// InvalidArgument LOCK_KEY_MISSING BadRequest
	// InvalidArgument LOCK_KEY_INVALID BadRequest
	// Unavailable LOCK_BACKEND_UNAVAILABLE RetryInfo
	// Internal LOCK_LOST
	// Aborted LOCK_STALE
	// Internal LOCK_SELF_DEADLOCK
	// Unavailable LOCK_SHUTTING_DOWN RetryInfo
}

// asked is a service that does what it is asked for.
type asked struct {
	testpb.UnimplementedTestServiceServer
	handle func(context.Context) error
}

func (a *asked) UnaryCall(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{}, a.handle(ctx)
}

// describe names a status' code, reason and other details.
func describe(st *status.Status) string {
	words := []string{st.Code().String()}
	for _, d := range st.Details() {
		if r, ok := d.(interface{ GetReason() string }); ok {
			words = append(words, r.GetReason())
			continue
		}
		name := fmt.Sprintf("%T", d)
		words = append(words, name[strings.LastIndexByte(name, '.')+1:])
	}
	return strings.Join(words, " ")
}

// A client tries again when it is told to, and only then.
func ExampleNewClient() {
	locker := locktest.New()
	release := locker.Hold("order:42", core.TTL(core.MinTTL)) // by another replica
	m, err := grpcmw.New(locker, grpcmw.Wait(0),
		grpcmw.For(testpb.TestService_UnaryCall_FullMethodName, grpcmw.KeyTemplate("order:{metadata.x-order}")),
		grpcmw.OnDeny(func(_ context.Context, d *core.Denial) error {
			fmt.Println("denied:", d.Reason)
			release()
			return nil
		}))
	if err != nil {
		log.Fatal(err)
	}
	client, err := grpcmw.NewClient(grpcmw.RetryHeld(3))
	if err != nil {
		log.Fatal(err)
	}
	conn, stop := dial(m, func(s *grpc.Server) { testpb.RegisterTestServiceServer(s, shop{}) }, client.DialOptions()...)
	defer stop()
	reply, err := testpb.NewTestServiceClient(conn).UnaryCall(withOrder(context.Background(), "42"), order("42"))
	fmt.Println(reply.GetUsername(), status.Code(err) == codes.OK)
	// Output:
	// denied: LOCK_HELD
	// order 42, fencing token 2 true
}

// Before a lock is in force, a trial shows whom it would deny.
func ExampleShadow() {
	locker := locktest.New()
	defer locker.Hold("order:42")()
	m, err := grpcmw.New(locker, grpcmw.Shadow(),
		grpcmw.For(testpb.TestService_UnaryCall_FullMethodName, grpcmw.KeyTemplate("order:{metadata.x-order}")),
		grpcmw.OnDeny(func(_ context.Context, d *core.Denial) error {
			fmt.Println("would be denied:", d.Reason)
			return nil
		}))
	if err != nil {
		log.Fatal(err)
	}
	conn, stop := dial(m, func(s *grpc.Server) {
		testpb.RegisterTestServiceServer(s, &asked{handle: func(context.Context) error { fmt.Println("runs"); return nil }})
	})
	defer stop()
	_, err = testpb.NewTestServiceClient(conn).UnaryCall(withOrder(context.Background(), "42"), order("42"))
	fmt.Println(status.Code(err))
	// Output:
	// would be denied: LOCK_HELD
	// runs
	// OK
}
