package grpcmw_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/idgen"
)

func TestALockedCallAndWithRequestIDEveryCallHasAnIDAndItsTrailerTellsIt(t *testing.T) {
	for _, c := range []struct {
		name  string
		sent  []string
		trust bool
		taken bool
	}{
		{"none sent", nil, true, false},
		{"trusted", []string{"abc.DEF_1~2-3"}, true, true},
		{"not trusted", []string{"abc"}, false, false},
		{"two", []string{"abc", "def"}, true, false},
		{"empty", []string{""}, true, false},
		{"with a space", []string{"a b"}, true, false},
		{"too long", []string{strings.Repeat("a", 129)}, true, false},
	} {
		for _, locked := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				var trust []grpcmw.RequestIDOption
				var opts []grpcmw.Option
				if c.trust {
					trust = append(trust, grpcmw.TrustRequestID())
					opts = append(opts, grpcmw.TrustRequestID())
				}
				if locked {
					opts = append(opts, grpcmw.For(unary, grpcmw.KeyOf(orderOf)), grpcmw.For(serverStream, grpcmw.KeyOf(streamOrderOf)))
				}
				server := mustNew(t, locktest.New(), opts...).ServerOptions()
				if !locked {
					server = append(grpcmw.RequestID(trust...), server...)
				}
				var seen string
				h := &handlers{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
					seen, _ = idgen.FromContext(ctx)
					return &testpb.SimpleResponse{}, nil
				}}
				ofServer.handle(h, func(s grpc.ServerStream) error {
					seen, _ = idgen.FromContext(s.Context())
					return nil
				})
				client := serveWith(t, server, h)
				ctx := timeout(t)
				for _, id := range c.sent {
					ctx = metadata.AppendToOutgoingContext(ctx, grpcmw.RequestIDKey, id)
				}
				check := func(trailer metadata.MD, err error) {
					t.Helper()
					if err != nil {
						t.Fatal(err)
					}
					if ids := trailer[grpcmw.RequestIDKey]; len(ids) != 1 || ids[0] != seen || !idgen.ValidRequestID(seen) {
						t.Errorf("trailer %q, the handler saw %q", ids, seen)
					}
					if taken := len(c.sent) > 0 && seen == c.sent[0]; taken != c.taken {
						t.Errorf("sent %q, got %q", c.sent, seen)
					}
				}
				var trailer metadata.MD
				_, err := client.UnaryCall(ctx, order("7"), grpc.Trailer(&trailer))
				check(trailer, err)
				first := seen
				_, trailer, err = ofServer.call(ctx, client)
				check(trailer, err)
				if !c.taken && seen == first {
					t.Error("two calls with one generated ID")
				}
			})
		}
	}
}

func TestACallThatIsNotLockedIsLeftAlone(t *testing.T) {
	h := &handlers{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		if id, ok := idgen.FromContext(ctx); ok {
			t.Errorf("it has the request ID %q", id)
		}
		return &testpb.SimpleResponse{}, nil
	}}
	var trailer metadata.MD
	client := serve(t, mustNew(t, locktest.New(), grpcmw.TrustRequestID()), h)
	if _, err := client.UnaryCall(timeout(t), order("7"), grpc.Trailer(&trailer)); err != nil || len(trailer) != 0 {
		t.Errorf("trailer %v, %v", trailer, err)
	}
}

func TestARequestIDThatIsInTheContextIsKeptAndLeftToItsOwnerToTell(t *testing.T) {
	outer := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		return next(idgen.NewContext(ctx, "outer"), req)
	}
	m := mustNew(t, locktest.New(), grpcmw.For(unary, grpcmw.KeyOf(orderOf)))
	client := serveWith(t, append([]grpc.ServerOption{grpc.ChainUnaryInterceptor(outer)}, m.ServerOptions()...),
		&handlers{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			if id, _ := idgen.FromContext(ctx); id != "outer" {
				t.Errorf("the handler saw %q", id)
			}
			return &testpb.SimpleResponse{}, nil
		}})
	var trailer metadata.MD
	if _, err := client.UnaryCall(timeout(t), order("7"), grpc.Trailer(&trailer)); err != nil || len(trailer[grpcmw.RequestIDKey]) != 0 {
		t.Errorf("trailer %v, %v", trailer, err)
	}
}
