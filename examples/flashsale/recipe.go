package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/redis/go-redis/v9"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/examples/flashsale/internal/recipe"
	"github.com/latchkey-go/latchkey/examples/flashsale/internal/shop"
	"github.com/latchkey-go/latchkey/examples/internal/shoppb"
	"github.com/latchkey-go/latchkey/httpmw"
)

// recipeProtection is mode recipe: what a service had to write around the
// articles' lock, and has no token to show for.
type recipeProtection struct {
	lock   *recipe.Lock
	faults *faults
}

var _ protection = (*recipeProtection)(nil)

func newRecipeProtection(rdb *redis.Client, t terms, f *faults) *recipeProtection {
	return &recipeProtection{lock: recipe.New(rdb, leaseTTL, t.wait), faults: f}
}

func recipeKey(item string) string { return namespace + ":recipe:" + item }

func (p *recipeProtection) http(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// net/http notices that a client has gone once its body is read, and a
		// waiter that nobody waits for must not get the lock. httpmw does this
		// by itself.
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "the order cannot be read", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answered := false
		err = p.lock.Do(r.Context(), recipeKey(r.PathValue("item")), func(ctx context.Context) error {
			answered = true
			next.ServeHTTP(w, r.WithContext(ctx))
			return nil
		})
		switch {
		case err == nil:
		case answered: // it is the release that failed
			p.faults.note(err)
		case r.Context().Err() != nil: // nobody to answer
		case errors.Is(err, recipe.ErrTimeout):
			httpmw.WriteDenial(w, r, core.Denied(core.ErrWaitTimeout))
		default:
			p.faults.note(err)
			http.Error(w, "internal error", http.StatusInternalServerError)
		}
	})
}

func (p *recipeProtection) grpc() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(withRequestID, p.intercept)}
}

func (p *recipeProtection) intercept(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	buy, ok := req.(*shoppb.BuyRequest)
	if !ok {
		return handler(ctx, req)
	}
	answered := false
	var reply any
	var refusal error
	err := p.lock.Do(ctx, recipeKey(buy.GetItem()), func(ctx context.Context) error {
		answered = true
		reply, refusal = handler(ctx, req)
		return nil
	})
	switch {
	case err == nil:
		return reply, refusal
	case answered: // it is the release that failed
		p.faults.note(err)
		return reply, refusal
	case ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err()).Err()
	case errors.Is(err, recipe.ErrTimeout):
		return nil, recipeTimeout()
	default:
		p.faults.note(err)
		return nil, status.Error(codes.Internal, "internal error")
	}
}

func recipeTimeout() error {
	st := status.New(codes.Aborted, "the lock was not acquired in time")
	detailed, err := st.WithDetails(&errdetails.ErrorInfo{Reason: string(core.ReasonWaitTimeout), Domain: namespace})
	if err != nil {
		return st.Err()
	}
	return detailed.Err()
}

func (p *recipeProtection) verify(map[string]grpc.ServiceInfo) error { return nil }

func (p *recipeProtection) fence(context.Context) (shop.Fence, error) {
	return shop.Unfenced, nil
}

func (p *recipeProtection) close(context.Context) error { return nil }
