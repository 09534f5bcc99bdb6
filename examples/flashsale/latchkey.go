package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	"github.com/latchkey-go/latchkey/examples/flashsale/internal/shop"
	"github.com/latchkey-go/latchkey/examples/internal/shoppb"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/httpmw"
)

// latchkeyProtection is mode latchkey, and all that a service needs of it: one
// Locker, a middleware for each transport, and the token for the database.
type latchkeyProtection struct {
	locker *core.RedisLocker
	lock   func(http.Handler) http.Handler
	calls  *grpcmw.Middleware
}

var _ protection = (*latchkeyProtection)(nil)

func newLatchkeyProtection(rdb *redis.Client, t terms) (*latchkeyProtection, error) {
	locker, err := core.New(rdb, core.Prefix(namespace), core.TTL(leaseTTL))
	if err != nil {
		return nil, err
	}
	// Both transports make the same key of the same item.
	lock, httpErr := httpmw.New(locker, httpmw.Key("item:{path.item}"),
		httpmw.Wait(t.wait), httpmw.MaxWaiters(t.maxWaiters))
	calls, grpcErr := grpcmw.New(locker,
		grpcmw.For(shoppb.Shop_Buy_FullMethodName, grpcmw.KeyOf(itemKey),
			grpcmw.Wait(t.wait), grpcmw.MaxWaiters(t.maxWaiters)))
	if err := errors.Join(httpErr, grpcErr); err != nil {
		return nil, errors.Join(err, locker.Close())
	}
	return &latchkeyProtection{locker: locker, lock: lock, calls: calls}, nil
}

// itemKey is the HTTP route's key, from a message.
func itemKey(r *shoppb.BuyRequest) string { return keys.Join("item", r.GetItem()) }

func (p *latchkeyProtection) http(next http.Handler) http.Handler { return p.lock(next) }

func (p *latchkeyProtection) grpc() []grpc.ServerOption { return p.calls.ServerOptions() }

func (p *latchkeyProtection) verify(services map[string]grpc.ServiceInfo) error {
	return p.calls.Verify(services)
}

// errNoLock is a fault in this program: a purchase was not wrapped.
var errNoLock = errors.New("a purchase runs without its lock")

func (p *latchkeyProtection) fence(ctx context.Context) (shop.Fence, error) {
	lock, ok := core.FromContext(ctx)
	if !ok {
		return shop.Fence{}, errNoLock
	}
	return shop.Fenced(lock.Token()), nil
}

func (p *latchkeyProtection) close(ctx context.Context) error { return p.locker.Shutdown(ctx) }
