package grpcmw_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

var rollingRestarts = flag.Int("rolling.restarts", 1, "restarts of each kind in the test of rolling restarts")

// replica is one process of a service.
type replica struct {
	addr   string
	locker *core.RedisLocker
	server *grpc.Server
	served chan error
	begun  atomic.Int32 // handlers
}

const rollingHold = 200 * time.Millisecond

// startReplica starts a replica; addr is "" for any.
func startReplica(t *testing.T, redisAddr, addr string) *replica {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: redisAddr, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = rdb.Close() })
	locker, err := core.New(rdb)
	if err != nil {
		t.Fatal(err)
	}
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{addr: l.Addr().String(), locker: locker, served: make(chan error, 1)}
	m := mustNew(t, locker, grpcmw.Wait(15*time.Second), grpcmw.For(unary, grpcmw.KeyOf(orderOf)), grpcmw.For(serverStream, grpcmw.KeyOf(streamOrderOf)))
	r.server = grpc.NewServer(m.ServerOptions()...)
	h := &handlers{unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		r.begun.Add(1)
		time.Sleep(rollingHold) // the work
		return &testpb.SimpleResponse{Username: "done"}, nil
	}}
	ofServer.handle(h, func(ss grpc.ServerStream) error {
		r.begun.Add(1)
		time.Sleep(rollingHold)
		return ss.SendMsg(&testpb.StreamingOutputCallResponse{})
	})
	testpb.RegisterTestServiceServer(r.server, h)
	go func() { r.served <- r.server.Serve(l) }()
	t.Cleanup(func() {
		r.server.Stop()
		<-r.served
		_ = r.locker.Close()
	})
	return r
}

// drains are orders in which a replica may end. The second is no good while a
// holder needs longer than the hint.
var drains = map[string]func(context.Context, *replica) error{
	"Shutdown": func(ctx context.Context, r *replica) error { return grpcmw.Shutdown(ctx, r.server, r.locker) },
	"the Locker's Shutdown, then GracefulStop": func(ctx context.Context, r *replica) error {
		defer r.server.GracefulStop()
		return r.locker.Shutdown(ctx)
	},
}

// Each replica ends and comes back, one after the other, while calls stand in line.
func TestARollingRestartFailsNoCall(t *testing.T) {
	t.Parallel()
	for name, drain := range drains {
		for kind, call := range retriedCalls {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				redisAddr := locktest.StartRedis(t).Addr()
				for range *rollingRestarts {
					if failed := rollingRestart(t, redisAddr, drain, call); failed > 0 {
						t.Errorf("%d of %d calls failed", failed, rollingCalls)
					}
				}
			})
		}
	}
}

const rollingCalls = 16

func rollingRestart(t *testing.T, redisAddr string, drain func(context.Context, *replica) error, call func(context.Context, testpb.TestServiceClient) error) (failed int32) {
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	replicas := []*replica{startReplica(t, redisAddr, ""), startReplica(t, redisAddr, "")}
	names := manual.NewBuilderWithScheme("replicas")
	names.InitialState(resolver.State{Endpoints: []resolver.Endpoint{
		{Addresses: []resolver.Address{{Addr: replicas[0].addr}}}, {Addresses: []resolver.Address{{Addr: replicas[1].addr}}},
	}})
	conn, err := grpc.NewClient("replicas:///shop", append(clientWith(t, grpcmw.RetryHeld(3)),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithResolvers(names),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1, MaxDelay: 50 * time.Millisecond}, MinConnectTimeout: 10 * time.Second,
		}))...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client := testpb.NewTestServiceClient(conn)
	// reached calls until r has served, as a rollout waits until a replica is ready.
	reached := func(r *replica) {
		for n := 0; r.begun.Load() == 0; n++ {
			if _, err := client.UnaryCall(ctx, order(fmt.Sprint("other", n))); err != nil {
				t.Fatalf("a replica is not reached: %v", err)
			}
		}
	}
	reached(replicas[0])
	reached(replicas[1])

	var lost atomic.Int32
	var calls sync.WaitGroup
	for range rollingCalls {
		calls.Go(func() {
			if err := call(ctx, client); err != nil {
				lost.Add(1)
				t.Log(err)
			}
		})
	}
	for i, r := range replicas {
		for i == 0 && len(r.locker.Snapshot().Waiting) == 0 {
			if ctx.Err() != nil {
				t.Fatal("nobody is in line")
			}
			time.Sleep(time.Millisecond)
		}
		if err := drain(ctx, r); err != nil {
			t.Error(err)
		}
		replicas[i] = startReplica(t, redisAddr, r.addr)
		reached(replicas[i])
	}
	calls.Wait()
	return lost.Load()
}

// stubborn is a Locker whose holders do not finish.
type stubborn struct{}

func (stubborn) Shutdown(ctx context.Context) error { <-ctx.Done(); return nil }

func TestShutdownStopsAServerWhoseCallsDoNotEnd(t *testing.T) {
	fake := locktest.New()
	begun, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf))).ServerOptions()...)
	testpb.RegisterTestServiceServer(srv, &handlers{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		close(begun)
		<-release
		return nil, ctx.Err()
	}})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	called := make(chan error, 1)
	go func() {
		_, err := testpb.NewTestServiceClient(conn).UnaryCall(timeout(t), order("7"))
		called <- err
	}()
	<-begun
	impatient := errors.New("the process has no more time")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(impatient)
	if err := grpcmw.Shutdown(ctx, srv, stubborn{}); !errors.Is(err, impatient) {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-called; status.Code(err) != codes.Unavailable {
		t.Errorf("the call: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
