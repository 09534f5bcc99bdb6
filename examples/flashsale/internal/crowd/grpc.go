package crowd

import (
	"context"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/examples/internal/shoppb"
)

// GRPCDoor buys with calls of Shop.Buy.
type GRPCDoor struct {
	Client shoppb.ShopClient
}

var _ Door = (*GRPCDoor)(nil)

// Buy makes one call.
func (d *GRPCDoor) Buy(ctx context.Context, item, buyer string) Answer {
	reply, err := d.Client.Buy(ctx, &shoppb.BuyRequest{Item: item, Buyer: buyer, Quantity: 1})
	if err != nil {
		return refusedOverGRPC(ctx, err)
	}
	return served(reply)
}

// refusedOverGRPC tells a denial, whose status has an ErrorInfo with the
// reason, from a fault.
func refusedOverGRPC(ctx context.Context, err error) Answer {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetReason() != "" {
			return Answer{Outcome: Denied, Reason: info.GetReason()}
		}
	}
	return unanswered(ctx, err)
}
