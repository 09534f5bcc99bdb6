package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/latchkey-go/latchkey/examples/internal/shoppb"
)

// The routes of the two HTTP services. Both lock the item.
const (
	orderRoute = "POST /orders/{item}"
	priceRoute = "PUT /prices/{item}"
)

// work is how long a handler takes, the warehouse included.
const work = 40 * time.Millisecond

// warehouse is the gRPC service.
type warehouse struct{ pb.UnimplementedShopServer }

func (warehouse) Buy(ctx context.Context, r *pb.BuyRequest) (*pb.BuyReply, error) {
	return &pb.BuyReply{}, pause(ctx, work/2)
}

// handler works on an item, asks the warehouse for it, and answers. started hears
// of each request that has the lock; the first one goes on when proceed is closed.
type handler struct {
	stock   pb.ShopClient
	started chan struct{}
	proceed <-chan struct{}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.started <- struct{}{}
	<-h.proceed
	err := pause(r.Context(), work/2)
	if err == nil {
		_, err = h.stock.Buy(r.Context(), &pb.BuyRequest{Item: r.PathValue("item")})
	}
	if err != nil {
		http.Error(w, "the warehouse does not answer", http.StatusBadGateway)
	}
}

// tell lets three requests want one item: one that finds it free, a second one of
// the same service, and one of the other service.
func tell(ctx context.Context, rdb redis.UniversalClient, spans *memory, otlp string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var services [3]*service
	for i, name := range []string{"web", "office", "warehouse"} {
		s, err := newService(ctx, name, rdb, spans, otlp)
		if err != nil {
			return err
		}
		services[i] = s
	}
	web, office, stock := services[0], services[1], services[2]
	defer func() {
		for _, s := range services {
			err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
		}
	}()

	stockAddr, stop, err := stock.serveGRPC(warehouse{})
	if err != nil {
		return err
	}
	defer stop()
	started, proceed := make(chan struct{}, 3), make(chan struct{})
	var urls [2]string
	for i, s := range []*service{web, office} {
		route := []string{orderRoute, priceRoute}[i]
		conn, err := grpc.NewClient(stockAddr, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithStatsHandler(otelgrpc.NewClientHandler(
				otelgrpc.WithTracerProvider(s.tracers), otelgrpc.WithPropagators(propagation.TraceContext{}))))
		if err != nil {
			return err
		}
		defer conn.Close()
		addr, stop, err := s.serveHTTP(route, &handler{pb.NewShopClient(conn), started, proceed})
		if err != nil {
			return err
		}
		defer stop()
		urls[i] = "http://" + addr
	}

	answers := make(chan error, 3)
	ask := func(method, url string) { go func() { answers <- send(ctx, method, url) }() }
	ask(http.MethodPost, urls[0]+"/orders/umbrella")
	select {
	case <-started:
	case err := <-answers:
		return errors.Join(errors.New("the first request did not get the lock"), err)
	}
	ask(http.MethodPost, urls[0]+"/orders/umbrella")
	err = until(ctx, func() bool { return web.locker.Snapshot().Requests == 1 })
	if err == nil {
		ask(http.MethodPut, urls[1]+"/prices/umbrella")
		err = until(ctx, func() bool { return office.locker.Snapshot().Requests == 1 })
	}
	if err == nil {
		err = pause(ctx, work)
	}
	close(proceed)
	for range cap(answers) {
		err = errors.Join(err, <-answers)
	}
	return err
}

// send makes a request that begins a trace.
func send(ctx context.Context, method, url string) error {
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, url, answer.Status)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func until(ctx context.Context, done func() bool) error {
	for !done() {
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
