package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	pb "github.com/latchkey-go/latchkey/examples/internal/shoppb"
	"github.com/latchkey-go/latchkey/grpcmw"
	lockotel "github.com/latchkey-go/latchkey/otel"
)

// neighbours is a shop behind the interceptors that most services have, and what
// they have seen.
type neighbours struct {
	pb.UnimplementedShopServer
	fake  *locktest.Fake
	spans *tracetest.SpanRecorder
	shop  pb.ShopClient

	mu     sync.Mutex
	logged []string // the codes of calls
}

func (n *neighbours) Buy(ctx context.Context, r *pb.BuyRequest) (*pb.BuyReply, error) {
	return &pb.BuyReply{}, n.do(ctx, r.GetBuyer())
}

func (n *neighbours) Watch(r *pb.WatchRequest, s grpc.ServerStreamingServer[pb.StockReply]) error {
	return n.do(s.Context(), r.GetItem())
}

func (n *neighbours) do(ctx context.Context, what string) error {
	if _, locked := core.FromContext(ctx); !locked || !trace.SpanContextFromContext(ctx).IsValid() {
		return errors.New("no lock, or no span")
	}
	if what == "panic" {
		panic("asked for")
	}
	return nil
}

// log is the logging interceptors' logger.
func (n *neighbours) log(_ context.Context, _ logging.Level, msg string, fields ...any) {
	if i := slices.Index(fields, any("grpc.code")); msg == "finished call" && i >= 0 {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.logged = append(n.logged, fmt.Sprint(fields[i+1]))
	}
}

// besides returns a shop whose lock stands in that place among recovery and
// logging.
func besides(t *testing.T, order ...string) *neighbours {
	t.Helper()
	n := &neighbours{fake: locktest.New(), spans: tracetest.NewSpanRecorder()}
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(n.spans))
	observer, err := lockotel.NewObserver(lockotel.WithTracerProvider(tracers))
	if err != nil {
		t.Fatal(err)
	}
	m, err := grpcmw.New(core.Observe(n.fake, observer), grpcmw.Wait(0),
		grpcmw.For(pb.Shop_Watch_FullMethodName, grpcmw.KeyTemplate("item:{field.item}")),
		grpcmw.For(pb.Shop_Buy_FullMethodName, grpcmw.KeyTemplate("item:{field.item}")))
	if err != nil {
		t.Fatal(err)
	}
	log := logging.LoggerFunc(n.log)
	internal := recovery.WithRecoveryHandler(func(p any) error { return status.Error(codes.Internal, fmt.Sprint(p)) })
	named := map[string][]grpc.ServerOption{
		"recovery": {grpc.ChainUnaryInterceptor(recovery.UnaryServerInterceptor(internal)), grpc.ChainStreamInterceptor(recovery.StreamServerInterceptor(internal))},
		"logging":  {grpc.ChainUnaryInterceptor(logging.UnaryServerInterceptor(log)), grpc.ChainStreamInterceptor(logging.StreamServerInterceptor(log))},
		"lock":     m.ServerOptions(),
	}
	opts := []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithTracerProvider(tracers)))}
	for _, name := range order {
		opts = append(opts, named[name]...)
	}
	srv := grpc.NewServer(opts...)
	pb.RegisterShopServer(srv, n)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(srv.Stop)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	n.shop = pb.NewShopClient(conn)
	return n
}

// besideCalls are a call of each kind, for that.
var besideCalls = map[string]func(context.Context, pb.ShopClient, string) error{
	pb.Shop_Buy_FullMethodName: func(ctx context.Context, c pb.ShopClient, what string) error {
		_, err := c.Buy(ctx, &pb.BuyRequest{Item: what, Buyer: what})
		return err
	},
	pb.Shop_Watch_FullMethodName: func(ctx context.Context, c pb.ShopClient, what string) error {
		s, err := c.Watch(ctx, &pb.WatchRequest{Item: what})
		if err != nil {
			return err
		}
		if _, err = s.Recv(); errors.Is(err, io.EOF) {
			return nil
		}
		return err
	},
}

func TestTheLockGetsOnWithTracingRecoveryAndLogging(t *testing.T) {
	for name, c := range map[string]struct {
		order  []string
		logged string // of a call that runs, one that panics and one that is denied
		stream string // the same, if it is not the same for a stream that is locked by its request
	}{
		"logging tells of all calls":       {[]string{"recovery", "logging", "lock"}, "[OK Aborted]", ""},
		"logging sees what recovery makes": {[]string{"logging", "recovery", "lock"}, "[OK Internal Aborted]", ""},
		// Interceptors inside the lock have begun when the request arrives.
		"logging tells of calls that run":      {[]string{"recovery", "lock", "logging"}, "[OK]", "[OK Aborted]"},
		"recovery inside, for what runs alone": {[]string{"logging", "lock", "recovery"}, "[OK Internal Aborted]", ""},
	} {
		for method, call := range besideCalls {
			t.Run(name+", "+method, func(t *testing.T) {
				n := besides(t, c.order...)
				if err := call(t.Context(), n.shop, "umbrella"); err != nil {
					t.Error(err)
				}
				if err := call(t.Context(), n.shop, "panic"); status.Code(err) != codes.Internal {
					t.Errorf("a panic: %v", err)
				}
				if err := n.fake.AwaitFree(t.Context(), "item:panic"); err != nil {
					t.Errorf("after a panic: %v", err)
				}
				release := n.fake.Hold("item:held")
				if err := call(t.Context(), n.shop, "held"); status.Code(err) != codes.Aborted {
					t.Errorf("a held key: %v", err)
				}
				release()
				want := c.logged
				if method == pb.Shop_Watch_FullMethodName && c.stream != "" {
					want = c.stream
				}
				n.mu.Lock()
				defer n.mu.Unlock()
				if got := fmt.Sprint(n.logged); got != want {
					t.Errorf("logged %s, want %s", got, want)
				}
				n.wantTree(t)
			})
		}
	}
}

// wantTree checks that each acquire span is a child of a server's span.
func (n *neighbours) wantTree(t *testing.T) {
	t.Helper()
	servers, acquires := map[trace.SpanID]bool{}, 0
	spans := n.spans.Started()
	for _, s := range spans {
		if s.SpanKind() == trace.SpanKindServer {
			servers[s.SpanContext().SpanID()] = true
		}
	}
	for _, s := range spans {
		if s.SpanKind() != trace.SpanKindServer {
			acquires++
			if !servers[s.Parent().SpanID()] {
				t.Errorf("%s is not a child of a call's span", s.Name())
			}
		}
	}
	// Two holds, and three attempts.
	if len(servers) != 3 || acquires != 5 {
		t.Errorf("%d calls and %d spans of locks", len(servers), acquires)
	}
}
