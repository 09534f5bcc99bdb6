package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"

	"github.com/latchkey-go/latchkey/examples/flashsale/internal/shop"
)

// protection is what a replica puts around the shop: one of the modes.
// Whatever the transport, the same item is the same lock.
type protection interface {
	// http wraps the handler of a purchase, whose route has an {item}.
	http(next http.Handler) http.Handler
	// grpc are the server options that wrap Shop.Buy.
	grpc() []grpc.ServerOption
	// verify finds, before anything is served, what in grpc does not fit the
	// services.
	verify(services map[string]grpc.ServiceInfo) error
	// fence is what the database is to check a purchase against. ctx is that of
	// a wrapped handler.
	fence(ctx context.Context) (shop.Fence, error)
	// close gives back what the protection has, once its replica serves
	// nobody any more.
	close(ctx context.Context) error
}

// terms are what every mode that waits goes by.
type terms struct {
	wait       time.Duration // the longest wait for the lock
	maxWaiters int           // the most requests of one replica that wait
}

// leaseTTL is how long a lock outlives its holder, in the modes that have one.
// It is shorter than a sale: on a Redis that is shared, one that was killed must
// not keep the next from selling anything.
const leaseTTL = 3 * time.Second

func newProtection(m mode, rdb *redis.Client, t terms, faults *faults) (protection, error) {
	switch m {
	case modeNone:
		return unprotected{}, nil
	case modeRecipe:
		return newRecipeProtection(rdb, t, faults), nil
	case modeLatchkey:
		p, err := newLatchkeyProtection(rdb, t)
		if err != nil {
			return nil, err // not p: a nil pointer in an interface is not nil
		}
		return p, nil
	default:
		return nil, fmt.Errorf("there is no mode %q", m)
	}
}
