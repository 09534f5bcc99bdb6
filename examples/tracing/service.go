package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"

	"github.com/latchkey-go/latchkey/core"
	pb "github.com/latchkey-go/latchkey/examples/internal/shoppb"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/httpmw"
	lockotel "github.com/latchkey-go/latchkey/otel"
)

// service is what a process of its own would have: a tracer and a Locker.
type service struct {
	name    string
	tracers *sdktrace.TracerProvider
	locker  *core.RedisLocker
}

func newService(ctx context.Context, name string, rdb redis.UniversalClient, spans *memory, otlp string) (*service, error) {
	opts := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", name))),
		sdktrace.WithSyncer(spans),
	}
	if otlp != "" {
		exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(otlp+"/v1/traces"))
		if err != nil {
			return nil, err
		}
		opts = append(opts, sdktrace.WithBatcher(exporter))
	}
	s := &service{name: name, tracers: sdktrace.NewTracerProvider(opts...)}
	observer, err := lockotel.NewObserver(lockotel.WithTracerProvider(s.tracers))
	if err == nil {
		s.locker, err = core.New(rdb, core.WithObserver(observer), core.WithMeta(core.Meta{Service: name}))
	}
	return s, err
}

// close gives locks back and sends what there is to send.
func (s *service) close(ctx context.Context) error {
	err := s.locker.Close()
	if e := s.tracers.Shutdown(ctx); e != nil {
		err = errors.Join(err, fmt.Errorf("the spans of %s were not sent: %w", s.name, e))
	}
	return err
}

// serveHTTP serves one route, which locks the item in its path, and returns its
// address. otelhttp is outermost: its span is the parent of the lock's.
func (s *service) serveHTTP(pattern string, h http.Handler) (addr string, stop func(), err error) {
	// Both services make the same key of the item.
	lock, err := httpmw.New(s.locker, httpmw.Key("item:{path.item}"), httpmw.Wait(30*time.Second))
	if err != nil {
		return "", nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(pattern, otelhttp.NewHandler(lock(h), pattern, otelhttp.WithTracerProvider(s.tracers)))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends with Close
	return listener.Addr().String(), func() { _ = server.Close() }, nil
}

// serveGRPC serves the warehouse, which locks the item for each purchase. otelgrpc
// is a stats handler, which begins its span before any interceptor runs.
func (s *service) serveGRPC(w pb.ShopServer) (addr string, stop func(), err error) {
	gm, err := grpcmw.New(s.locker,
		grpcmw.For(pb.Shop_Buy_FullMethodName, grpcmw.KeyTemplate("stock:{field.item}")))
	if err != nil {
		return "", nil, err
	}
	// Whoever stops the server waits for its spans.
	server := grpc.NewServer(append(gm.ServerOptions(), grpc.WaitForHandlers(true), grpc.StatsHandler(otelgrpc.NewServerHandler(
		otelgrpc.WithTracerProvider(s.tracers), otelgrpc.WithPropagators(propagation.TraceContext{}))))...)
	pb.RegisterShopServer(server, w)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	go func() { _ = server.Serve(listener) }() // ends with Stop
	return listener.Addr().String(), server.Stop, nil
}
