package grpcmw_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/internal/stresstest"
)

var (
	stressSeed     = flag.Uint64("stress.seed", 0, "seed of the stress test; 0 for a random one")
	stressRequests = flag.Int("stress.requests", 3000, "requests of the stress test")
)

const (
	stressClients = 200
	stressConns   = 8
	stressKeys    = 40
	stressHold    = 100 * time.Millisecond // MaxHold
	stressStop    = 400                    // one call in so many ends its server
)

// TestNothingIsHeldWhateverClientsAndHandlersDo has clients cancel and reset their
// streams, deadlines pass, connections break, handlers panic and overstay, and
// servers stop, at random, with streams of each kind and on a real Redis. No two
// handlers may run with one key, every answer is in the table, and at the end
// nothing is held and no goroutine is left.
func TestNothingIsHeldWhateverClientsAndHandlersDo(t *testing.T) {
	seed := *stressSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-stress.seed %d -stress.requests %d", seed, *stressRequests)
	ground := stresstest.Start(t)
	s := newStress(t, ground.Locker)
	s.run(seed)
	s.close()
	ground.WantNothingLeft()
	s.report()
}

type stress struct {
	t       *testing.T
	options []grpc.ServerOption
	clients []*grpc.ClientConn
	inside  [stressKeys]atomic.Int32
	ran     atomic.Int64
	stops   atomic.Int64
	breaks  atomic.Int64
	seen    stresstest.Tally // answers, and what else became of calls

	mu      sync.Mutex
	server  *grpc.Server
	addr    string
	sockets map[net.Conn]bool
	serving sync.WaitGroup
}

func newStress(t *testing.T, locker core.Locker) *stress {
	s := &stress{t: t, sockets: map[net.Conn]bool{}}
	recovering := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (_ any, err error) {
		defer recovered(&err)
		return next(ctx, req)
	}
	recoveringStream := func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
		defer recovered(&err)
		return next(srv, ss)
	}
	// As different as methods are in what they let a call wait, and all with the
	// same keys.
	m := mustNew(t, locker, grpcmw.MaxHold(stressHold),
		grpcmw.For(unary, grpcmw.KeyOf(orderOf), grpcmw.Name("stress"), grpcmw.Wait(50*time.Millisecond), grpcmw.MaxWaiters(2)),
		grpcmw.For(serverStream, grpcmw.KeyOf(streamOrderOf), grpcmw.Name("stress"), grpcmw.Wait(0)),
		grpcmw.For(clientStream, grpcmw.KeyTemplate("order:{metadata.x-order}"), grpcmw.Name("stress"), grpcmw.Wait(10*time.Second), grpcmw.MaxWaiters(stressClients)),
		grpcmw.For(bidiStream, grpcmw.KeyTemplate("order:{metadata.x-order}"), grpcmw.Name("stress"), grpcmw.Wait(50*time.Millisecond), grpcmw.MaxWaiters(stressClients)))
	s.options = append([]grpc.ServerOption{
		grpc.ChainUnaryInterceptor(recovering), grpc.ChainStreamInterceptor(recoveringStream), grpc.WaitForHandlers(true),
	}, m.ServerOptions()...)
	s.restart()
	for range stressConns {
		conn, err := grpc.NewClient("passthrough:///stress", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(s.dial), grpc.WithIdleTimeout(0))
		if err != nil {
			t.Fatal(err)
		}
		s.clients = append(s.clients, conn)
	}
	return s
}

func recovered(err *error) {
	if p := recover(); p != nil {
		*err = status.Error(codes.DataLoss, fmt.Sprint(p))
	}
}

// restart has a new server serve in place of the old one, whose calls end.
func (s *stress) restart() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Error(err)
		return
	}
	next := grpc.NewServer(s.options...)
	testpb.RegisterTestServiceServer(next, s.handlers())
	s.serving.Go(func() { _ = next.Serve(l) })
	s.mu.Lock()
	old := s.server
	s.server, s.addr = next, l.Addr().String()
	s.mu.Unlock()
	if old != nil {
		s.stops.Add(1)
		old.Stop()
	}
}

func (s *stress) dial(ctx context.Context, _ string) (net.Conn, error) {
	s.mu.Lock()
	addr := s.addr
	s.mu.Unlock()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err == nil {
		s.mu.Lock()
		s.sockets[conn] = true
		s.mu.Unlock()
	}
	return conn, err
}

// breakSocket resets one of the connections. It counts first: the calls on it may
// end, and be judged, before it returns.
func (s *stress) breakSocket() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.sockets {
		s.breaks.Add(1)
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
		delete(s.sockets, conn)
		return
	}
}

func (s *stress) close() {
	for _, conn := range s.clients {
		_ = conn.Close()
	}
	s.server.Stop()
	s.serving.Wait()
}

func (s *stress) handlers() *handlers {
	return &handlers{
		unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			return &testpb.SimpleResponse{}, s.handle(ctx, nil)
		},
		server: func(_ *testpb.StreamingOutputCallRequest, ss testpb.TestService_StreamingOutputCallServer) error {
			return s.handle(ss.Context(), ss)
		},
		client: func(ss testpb.TestService_StreamingInputCallServer) error { return s.handle(ss.Context(), ss) },
		bidi:   func(ss testpb.TestService_FullDuplexCallServer) error { return s.handle(ss.Context(), ss) },
	}
}

// handle does what its client has asked for, alone.
func (s *stress) handle(ctx context.Context, ss grpc.ServerStream) error {
	s.ran.Add(1)
	var key int
	md, _ := metadata.FromIncomingContext(ctx)
	if _, err := fmt.Sscan(md["x-order"][0], &key); err != nil {
		s.t.Error(err)
		return err
	}
	if n := s.inside[key].Add(1); n != 1 {
		s.t.Errorf("%d handlers run with key %d", n, key)
	}
	defer s.inside[key].Add(-1)
	work(ctx, rand.N(2*time.Millisecond))
	switch md["x-do"][0] {
	case "panic":
		panic("asked for")
	case "overstay":
		<-ctx.Done()
		return ctx.Err()
	case "receive": // until the client sends no more, which most never say
		for ss != nil {
			if err := ss.RecvMsg(&testpb.StreamingOutputCallRequest{}); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return err
			}
		}
	case "send and overstay":
		if ss != nil {
			_ = ss.SendMsg(&testpb.StreamingOutputCallResponse{})
		}
		<-ctx.Done()
		return nil
	}
	if ss == nil {
		return nil
	}
	return ss.SendMsg(&testpb.StreamingOutputCallResponse{})
}

// work takes time, unless ctx ends.
func work(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}
