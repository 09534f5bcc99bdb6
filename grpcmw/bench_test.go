package grpcmw_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

// noTransport takes trailers and forgets them.
type noTransport struct{ grpc.ServerTransportStream }

func (noTransport) SetTrailer(metadata.MD) error { return nil }

func done(context.Context, any) (any, error) { return nil, nil }

func BenchmarkUnary(b *testing.B) {
	ctx := grpc.NewContextWithServerTransportStream(b.Context(), noTransport{})
	fake := locktest.New()
	of := func(opts ...grpcmw.Option) grpc.UnaryServerInterceptor { return mustNew(b, fake, opts...).Unary() }
	run := func(name, method string, call grpc.UnaryServerInterceptor) {
		b.Run(name, func(b *testing.B) {
			info := &grpc.UnaryServerInfo{FullMethod: method}
			req := any(update7())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := call(ctx, req, info, done); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("baseline=no interceptor", unary, func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		return h(ctx, req)
	})
	id := grpcmw.For(unary, grpcmw.KeyOf(func(r *update) string { return r.GetOrder().GetId() }))
	run("unlocked", serverStream, of(id, grpcmw.FromProtoOptions()))
	run("unlocked, health beside ForAll", "/grpc.health.v1.Health/Check", of(grpcmw.ForAll(grpcmw.KeyTemplate("order:{field.order.id}"))))
	run("locked by a fake, function", unary, of(id))
	run("locked by a fake, field", unary, of(grpcmw.For(unary, grpcmw.KeyTemplate("order:{field.order.id}"))))
}

func TestAnUnlockedMethodAllocatesNothing(t *testing.T) {
	for name, opts := range map[string][]grpcmw.Option{
		"named ones only": {grpcmw.FromProtoOptions(), grpcmw.For(unary, grpcmw.KeyTemplate("order:{field.order.id}"))},
		"all but some":    {grpcmw.ForAll(grpcmw.KeyTemplate("order:{field.order.id}")), grpcmw.Except(serverStream)},
	} {
		m := mustNew(t, locktest.New(), opts...)
		call, stream := m.Unary(), m.Stream()
		ctx, req, ss := t.Context(), any(update7()), &fakeStream{ctx: t.Context()}
		handler := func(any, grpc.ServerStream) error { return nil }
		for _, method := range []string{serverStream, "/grpc.health.v1.Health/Check"} {
			info, streamInfo := &grpc.UnaryServerInfo{FullMethod: method}, &grpc.StreamServerInfo{FullMethod: method}
			if n := testing.AllocsPerRun(100, func() {
				_, _ = call(ctx, req, info, done)
				_ = stream(nil, ss, streamInfo, handler)
			}); n != 0 {
				t.Errorf("%s, %s: %v allocations", name, method, n)
			}
		}
	}
}
