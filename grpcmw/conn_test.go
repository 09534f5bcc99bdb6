package grpcmw_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

// However many calls wait in line, a call for a free key gets through: it is answered
// long before those in line give up.
func TestCallsInLineLeaveTheirConnectionRoomForOthers(t *testing.T) {
	const wait = 15 * time.Second
	for name, c := range map[string]struct {
		serve func(testing.TB, []grpc.ServerOption, func(*grpc.Server)) *grpc.ClientConn
		opts  []grpcmw.Option
		limit uint32
		calls int
		keys  int
		stays int // calls that wait
	}{
		"one key":                   {plain, nil, 100, 300, 1, 50},
		"several keys":              {plain, nil, 100, 300, 7, 50},
		"a bound of its own":        {plain, []grpcmw.Option{grpcmw.MaxWaitingPerConn(5)}, 10, 40, 1, 5},
		"behind net/http, 250":      {netHTTP, nil, 0, 400, 4, 50},
		"behind net/http, one key":  {netHTTP, nil, 0, 400, 1, 50},
		"no bound on either":        {plain, []grpcmw.Option{grpcmw.MaxWaitingPerConn(0)}, 0, 90, 1, 90},
		"MaxWaiters is the tighter": {plain, []grpcmw.Option{grpcmw.MaxWaiters(9)}, 100, 300, 1, 9},
	} {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			held := make([]string, c.keys)
			for i := range held {
				held[i] = fmt.Sprintf("hot%d", i)
				defer fake.Hold(held[i])()
			}
			m := mustNew(t, asIs{fake}, append(c.opts, grpcmw.Wait(wait), grpcmw.For(unary, grpcmw.KeyOf(orderOf)))...)
			server := m.ServerOptions()
			if c.limit > 0 {
				server = append(server, grpc.MaxConcurrentStreams(c.limit))
			}
			client := testpb.NewTestServiceClient(c.serve(t, server, func(s *grpc.Server) { testpb.RegisterTestServiceServer(s, &handlers{unary: ok}) }))
			ctx, cancel := context.WithCancel(timeout(t))
			defer cancel()
			if _, err := client.UnaryCall(ctx, order("warm")); err != nil {
				t.Fatal(err)
			}
			var told atomic.Int32
			full := make(chan struct{})
			var calls sync.WaitGroup
			for i := range c.calls {
				calls.Go(func() {
					_, err := client.UnaryCall(ctx, order(held[i%c.keys]))
					if status.Code(err) == codes.Canceled {
						return
					}
					if a := answerOf(t, err, nil); a.code != codes.ResourceExhausted || a.reason != core.ReasonQueueFull || !a.info || a.delay <= 0 {
						t.Errorf("%+v, %v", a, err)
					}
					if int(told.Add(1)) == c.calls-c.stays {
						close(full)
					}
				})
			}
			start := time.Now()
			_, err := client.UnaryCall(ctx, order("free"))
			if took := time.Since(start); err != nil || took > wait/3 {
				t.Errorf("a call for a free key: %v after %v", err, took)
			}
			if c.stays < c.calls {
				select {
				case <-full:
				case <-ctx.Done():
					t.Errorf("%d were told, want %d", told.Load(), c.calls-c.stays)
				}
			}
			cancel()
			calls.Wait()
			if n := int(told.Load()); n != c.calls-c.stays {
				t.Errorf("%d were told, want %d", n, c.calls-c.stays)
			}
		})
	}
}

// asIs takes what a key ends with as the key, whatever it is scoped by.
type asIs struct{ *locktest.Fake }

func (l asIs) Acquire(ctx context.Context, key string, opts ...core.AcquireOption) (core.Lock, error) {
	return l.Fake.Acquire(ctx, key[strings.LastIndexByte(key, ':')+1:], opts...)
}
