package main

import (
	"context"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/examples/flashsale/internal/shop"
	"github.com/latchkey-go/latchkey/examples/internal/shoppb"
	"github.com/latchkey-go/latchkey/idgen"
)

// checkout is a purchase, as it is over both transports: what the protection
// holds by now, shown to the database.
type checkout struct {
	shop       *shop.Shop
	protection protection
	longest    *longestWait
	faults     *faults
}

// buy runs inside the protection.
func (c *checkout) buy(ctx context.Context, req *shoppb.BuyRequest) (*shoppb.BuyReply, error) {
	requestID, _ := idgen.FromContext(ctx)
	if lock, ok := core.FromContext(ctx); ok {
		c.longest.note(requestID, lock.Info())
	}
	fence, err := c.protection.fence(ctx)
	if err != nil {
		return nil, err
	}
	receipt, err := c.shop.Buy(ctx, shop.Purchase{
		Item:      req.GetItem(),
		Buyer:     req.GetBuyer(),
		Quantity:  int(req.GetQuantity()),
		RequestID: requestID,
	}, fence)
	if err != nil {
		return nil, err
	}
	return &shoppb.BuyReply{
		OrderId:      receipt.OrderID,
		FencingToken: fence.Token(),
		Left:         int32(receipt.Left), // at most the stock, which the flags cap
		RequestId:    requestID,
		SoldOut:      receipt.SoldOut,
	}, nil
}
