// Grpcserver is a shop over gRPC that sells each item to one buyer at a time. What
// is locked stands in its .proto file alone, examples/internal/shoppb/shop.proto.
//
//	go run ./examples/grpcserver
//
// It needs nothing but Go: without -redis it embeds a Redis. Ctrl-C lets the
// calls that run finish.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/examples/internal/demo"
	pb "github.com/latchkey-go/latchkey/examples/internal/shoppb"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/idgen"
)

const grpcurl = `Two purchases at once; the second one waits for the first:

  for buyer in ada bob; do grpcurl -plaintext -d '{"item":"umbrella","buyer":"'$buyer'","quantity":1}' %v latchkey.examples.shop.v1.Shop/Buy & done; wait
`

// newServer is all that a service needs.
func newServer(locker core.Locker, s pb.ShopServer) (*grpc.Server, error) {
	gm, err := grpcmw.New(locker, grpcmw.FromProtoOptions())
	if err != nil {
		return nil, err
	}
	srv := grpc.NewServer(gm.ServerOptions()...)
	pb.RegisterShopServer(srv, s)
	reflection.Register(srv)
	return srv, gm.Verify(srv.GetServiceInfo())
}

// shop never runs out of anything. Watch is left unimplemented.
type shop struct {
	pb.UnimplementedShopServer
	out    io.Writer
	orders atomic.Int64
}

// Buy is slow, and must not run twice at once for one item.
func (s *shop) Buy(ctx context.Context, r *pb.BuyRequest) (*pb.BuyReply, error) {
	lock, _ := core.FromContext(ctx) // always there: the method fails closed
	id, _ := idgen.FromContext(ctx)
	fmt.Fprintf(s.out, "%s: request %s begins, after %v in line\n", r.GetItem(), id, lock.Info().Waited.Round(time.Millisecond))
	select {
	case <-time.After(2 * time.Second): // the work
	case <-ctx.Done():
		return nil, ctx.Err() // the client is gone or the lock is lost: sell nothing
	}
	// A database would remember the token and refuse a lower one.
	return &pb.BuyReply{OrderId: s.orders.Add(1), FencingToken: lock.Token(), RequestId: id}, nil
}

// run serves until ctx ends, and then until the calls that run are done.
func run(ctx context.Context, args []string, out io.Writer) error {
	addr, redisAddr, err := demo.ParseFlags("grpcserver", "127.0.0.1:9090", args, out)
	if err != nil {
		return err
	}
	rdb, stopRedis, err := demo.StartRedis(ctx, redisAddr)
	if err != nil {
		return err
	}
	defer stopRedis()
	locker, err := core.New(rdb)
	if err != nil {
		return err
	}
	defer locker.Close()
	srv, err := newServer(locker, &shop{out: out})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, grpcurl, listener.Addr())
	return demo.Serve(ctx, out, func() error { return srv.Serve(listener) }, func(ctx context.Context) error {
		return grpcmw.Shutdown(ctx, srv, locker)
	})
}

func main() { demo.Main("grpcserver", run) }
