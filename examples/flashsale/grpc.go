package main

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/examples/flashsale/internal/shop"
	"github.com/latchkey-go/latchkey/examples/internal/shoppb"
)

// newGRPCServer is the shop over gRPC. Reflection is on, so that grpcurl needs
// no shop.proto.
func newGRPCServer(c *checkout, closing <-chan struct{}) *grpc.Server {
	s := grpc.NewServer(c.protection.grpc()...)
	shoppb.RegisterShopServer(s, &grpcAPI{checkout: c, closing: closing})
	reflection.Register(s)
	return s
}

type grpcAPI struct {
	shoppb.UnimplementedShopServer
	*checkout
	closing <-chan struct{} // closed when the replica stops
}

// Buy sells one item, under the protection's interceptor.
func (a *grpcAPI) Buy(ctx context.Context, req *shoppb.BuyRequest) (*shoppb.BuyReply, error) {
	reply, err := a.buy(ctx, req)
	if err != nil {
		return nil, a.statusOf(ctx, err)
	}
	return reply, nil
}

// watchEvery is how often Watch looks: sales of the other replica are seen in
// the database only.
const watchEvery = 50 * time.Millisecond

// Watch sends the stock now and whenever it has changed. Sales in quick
// succession may come as one message.
func (a *grpcAPI) Watch(req *shoppb.WatchRequest, stream grpc.ServerStreamingServer[shoppb.StockReply]) error {
	ctx := stream.Context()
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for sent := -1; ; {
		left, err := a.shop.Stock(ctx, req.GetItem())
		if err != nil {
			return a.statusOf(ctx, err)
		}
		if left != sent {
			if err := stream.Send(&shoppb.StockReply{Left: int32(left)}); err != nil {
				return err
			}
			sent = left
		}
		select {
		case <-ticker.C:
		case <-a.closing:
			return status.Error(codes.Unavailable, "the shop is closing")
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

func (a *grpcAPI) statusOf(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err() // grpcmw says so if it is the lock that was lost
	case errors.Is(err, core.ErrStale):
		return err // grpcmw makes the denial of it
	case errors.Is(err, shop.ErrUnknownItem):
		return status.Error(codes.NotFound, "there is no such item")
	case errors.Is(err, shop.ErrQuantity):
		return status.Error(codes.InvalidArgument, "the quantity must be at least 1")
	default:
		a.faults.note(err)
		return status.Error(codes.Internal, "internal error")
	}
}
