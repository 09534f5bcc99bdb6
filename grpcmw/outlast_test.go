package grpcmw_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

// trailerOnly is a call's transport, as far as a unary interceptor needs it.
type trailerOnly struct {
	grpc.ServerTransportStream
	trailer metadata.MD
}

func (s *trailerOnly) SetTrailer(md metadata.MD) error {
	s.trailer = metadata.Join(s.trailer, md)
	return nil
}

// inProcess is a client's connection to a server that holds each call's lock for as
// long as the handler sleeps.
func inProcess(m *grpcmw.Middleware, held time.Duration) grpc.UnaryInvoker {
	return func(ctx context.Context, method string, req, _ any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
		s := &trailerOnly{}
		sent, _ := metadata.FromOutgoingContext(ctx)
		ctx = metadata.NewIncomingContext(grpc.NewContextWithServerTransportStream(ctx, s), sent)
		_, err := m.Unary()(ctx, req, &grpc.UnaryServerInfo{FullMethod: method}, func(context.Context, any) (any, error) {
			time.Sleep(held)
			return &testpb.SimpleResponse{}, nil
		})
		for _, o := range opts {
			if t, wanted := o.(grpc.TrailerCallOption); wanted {
				*t.TrailerAddr = s.trailer
			}
		}
		return err
	}
}

// Three retries outlast a hold of a second or two, within the client's patience,
// whatever the server has seen of other holds: nothing, or many that were quick.
func TestThreeRetriesOutlastASlowHolder(t *testing.T) {
	t.Parallel()
	const runs, enough = 20, 19
	client, err := grpcmw.NewClient(grpcmw.RetryHeld(3))
	if err != nil {
		t.Fatal(err)
	}
	retry := client.Unary()
	for name, c := range map[string]struct {
		quick     string // an order whose calls were quick
		elsewhere bool   // the holder is in another process
		held      time.Duration
		wait      time.Duration
	}{
		"quick with others":                   {quick: "1", held: 2 * time.Second},
		"quick until now":                     {quick: "42", held: 2 * time.Second},
		"quick, held by another":              {quick: "1", held: 2 * time.Second, elsewhere: true},
		"in a young process":                  {held: time.Second, wait: 100 * time.Millisecond},
		"in a young process, held by another": {held: time.Second, wait: 100 * time.Millisecond, elsewhere: true},
	} {
		t.Run(name, func(t *testing.T) {
			served := 0
			for range runs {
				synctest.Test(t, func(t *testing.T) {
					mini := locktest.StartMini(t)
					server := func(l *core.RedisLocker, held time.Duration) grpc.UnaryInvoker {
						return inProcess(mustNew(t, l, grpcmw.For(unary, grpcmw.KeyOf(orderOf), grpcmw.Wait(c.wait))), held)
					}
					var lockers [2]*core.RedisLocker
					for i := range lockers {
						var err error
						if lockers[i], err = core.New(mini.Client(nil)); err != nil {
							t.Fatal(err)
						}
						t.Cleanup(func() { _ = lockers[i].Close() })
					}
					call := func(ctx context.Context, id string, invoke grpc.UnaryInvoker) error {
						return retry(ctx, unary, order(id), &testpb.SimpleResponse{}, nil, invoke)
					}
					if c.quick != "" {
						for range 10 {
							if err := call(t.Context(), c.quick, server(lockers[0], time.Millisecond)); err != nil {
								t.Fatal(err)
							}
						}
					}
					holder := lockers[0]
					if c.elsewhere {
						holder = lockers[1]
					}
					var first sync.WaitGroup
					first.Go(func() { _ = call(t.Context(), "42", server(holder, c.held)) })
					synctest.Wait()
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					if err := call(ctx, "42", server(lockers[0], time.Millisecond)); err == nil {
						served++
					}
					first.Wait()
				})
			}
			t.Logf("%d of %d were served", served, runs)
			if served < enough {
				t.Errorf("want %d", enough)
			}
		})
	}
}
