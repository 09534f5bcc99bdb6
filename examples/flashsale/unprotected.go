package main

import (
	"context"
	"net/http"

	"google.golang.org/grpc"

	"github.com/latchkey-go/latchkey/examples/flashsale/internal/shop"
	"github.com/latchkey-go/latchkey/idgen"
)

// unprotected is mode none: every purchase runs at once.
type unprotected struct{}

var _ protection = unprotected{}

func (unprotected) http(next http.Handler) http.Handler { return next }

func (unprotected) grpc() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(withRequestID)}
}

func (unprotected) verify(map[string]grpc.ServiceInfo) error { return nil }

func (unprotected) fence(context.Context) (shop.Fence, error) { return shop.Unfenced, nil }

func (unprotected) close(context.Context) error { return nil }

// withRequestID gives a call its request ID where grpcmw, which does so too, is
// not in use.
func withRequestID(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	return handler(idgen.NewContext(ctx, idgen.NewRequestID()), req)
}
