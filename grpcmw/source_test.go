package grpcmw_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/grpcmw/internal/testpb"
)

func TestAPeersValueIsThePartOfTheKey(t *testing.T) {
	at := func(addr string) *peer.Peer {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return &peer.Peer{Addr: tcp}
	}
	id, err := url.Parse("spiffe://example.org/orders")
	if err != nil {
		t.Fatal(err)
	}
	certified := &peer.Peer{AuthInfo: credentials.TLSInfo{SPIFFEID: id, State: tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: "orders"}}},
	}}}
	for _, c := range []struct {
		name string
		peer *peer.Peer
		want string // "" is missing
	}{
		{"ip", at("192.0.2.1:1"), "192.0.2.1"},
		{"ip", at("[::ffff:192.0.2.1]:2"), "192.0.2.1"},
		{"ip", at("[2001:db8::1]:3"), "2001:db8::1"},
		{"ip", at("[fe80::1%eth0]:4"), "fe80::1"},
		{"ip", &peer.Peer{Addr: &net.TCPAddr{}}, ""},
		{"ip", &peer.Peer{Addr: &net.UnixAddr{Name: "/x"}}, ""},
		{"ip", nil, ""},
		{"common_name", certified, "orders"},
		{"common_name", &peer.Peer{AuthInfo: credentials.TLSInfo{}}, ""},
		{"common_name", at("192.0.2.1:1"), ""},
		{"spiffe_id", certified, "spiffe://example.org/orders"},
		{"spiffe_id", &peer.Peer{AuthInfo: credentials.TLSInfo{}}, ""},
	} {
		ctx := t.Context()
		if c.peer != nil {
			ctx = peer.NewContext(ctx, c.peer)
		}
		got, err := keyIn(ctx, t, grpcmw.KeyTemplate("k:{peer."+c.name+"}"), nil)
		switch a := answerOf(t, err, nil); {
		case c.want == "" && a.reason != core.ReasonKeyMissing, c.want != "" && (err != nil || got != keys.Join("k", c.want)):
			t.Errorf("%s of %v = %q, %v, want %q", c.name, c.peer, got, err, c.want)
		}
	}
}

type tenantKey struct{}

func tenant(ctx context.Context) string { s, _ := ctx.Value(tenantKey{}).(string); return s }

func TestATemplateMayHaveAllSourcesAtOnce(t *testing.T) {
	auth := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		return next(context.WithValue(ctx, tenantKey{}, "a:b"), req)
	}
	var got string
	m := mustNew(t, spyLocker(func(key string, _ core.Settings) { got = key }), grpcmw.ContextValue("tenant", tenant),
		grpcmw.For(testpb.Orders_Free_FullMethodName, grpcmw.KeyTemplate("k:{context.tenant}:{metadata.X-Order}:{peer.ip}:{field.order.id}")))
	conn := serveAny(t, append([]grpc.ServerOption{grpc.ChainUnaryInterceptor(auth)}, m.ServerOptions()...),
		func(s *grpc.Server) { testpb.RegisterOrdersServer(s, orders{}) })
	_, err := testpb.NewOrdersClient(conn).Free(withOrder(timeout(t), "9"), update7())
	if a := answerOf(t, err, nil); a.reason != core.ReasonHeld || got != keys.Join("k", "a:b", "9", "127.0.0.1", "7") {
		t.Errorf("key %q, %v", got, err)
	}
}

func TestAContextValueThatIsEmptyIsMissing(t *testing.T) {
	_, err := keyOf(t, grpcmw.KeyTemplate("k:{context.tenant}"), nil, grpcmw.ContextValue("tenant", tenant))
	if a := answerOf(t, err, nil); a.reason != core.ReasonKeyMissing || len(a.fields) != 1 || a.fields[0] != "context.tenant is missing or empty" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestNewRefusesContextValuesAndPeersThatCannotBe(t *testing.T) {
	for want, opts := range map[string][]grpcmw.Option{
		`ContextValue "": no placeholder can have that name`:   {grpcmw.ContextValue("", tenant)},
		`ContextValue "a}b": no placeholder can have`:          {grpcmw.ContextValue("a}b", tenant)},
		`ContextValue "a": the function is nil`:                {grpcmw.ContextValue("a", nil), grpcmw.For(unary, grpcmw.KeyTemplate("k:{context.a}"))},
		`ContextValue "a" is given twice`:                      {grpcmw.ContextValue("a", tenant), grpcmw.ContextValue("a", tenant)},
		`offset 2: there is no ContextValue "b"`:               {grpcmw.ContextValue("a", tenant), grpcmw.For(unary, grpcmw.KeyTemplate("k:{context.b}"))},
		`unknown value "port" of the peer: there are ip, comm`: {grpcmw.For(unary, grpcmw.KeyTemplate("k:{peer.port}"))},
	} {
		_, err := grpcmw.New(locktest.New(), opts...)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestARequestMayKnowItsOwnKey(t *testing.T) {
	if got, err := keyOf(t, grpcmw.MessageKey(), &testpb.Order{Id: "a:b"}); got != keys.Join("order", "a:b") || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for name, req := range map[string]any{"is missing or empty": &testpb.Order{}, "has no method LockKey": update7(), "has no method LockKey ": nil} {
		_, err := keyOf(t, grpcmw.MessageKey(), req)
		if a := answerOf(t, err, nil); a.reason != core.ReasonKeyMissing || len(a.fields) != 1 || a.fields[0] != "request "+strings.TrimSpace(name) {
			t.Errorf("%v: %+v, %v", req, a, err)
		}
		if got, err := keyOf(t, grpcmw.MessageKey(), req, grpcmw.OnMissing(grpcmw.Skip)); got != "" || err != nil {
			t.Errorf("skipped: %q, %v", got, err)
		}
	}
	srv := grpc.NewServer()
	testpb.RegisterOrdersServer(srv, orders{})
	for _, opts := range [][]grpcmw.Option{
		{grpcmw.For(testpb.Orders_Own_FullMethodName, grpcmw.MessageKey()), grpcmw.Except("latchkey.test.v1.Orders")},
		{grpcmw.ForAll(grpcmw.MessageKey(), grpcmw.OnMissing(grpcmw.Skip)), grpcmw.FromProtoOptions()},
	} {
		if err := mustNew(t, locktest.New(), opts...).Verify(srv.GetServiceInfo()); err != nil {
			t.Error(err)
		}
	}
}

// Names and values of metadata are a client's to choose.
func FuzzMetadataKeys(f *testing.F) {
	f.Add("x-order", "x-order", "7", "8")
	f.Add("X-Order", "x-order", "", "\xff")
	f.Add("x-order-bin", "x-order-bin", "\x00:%", "%3A")
	f.Add("grpc-timeout", ":path", "{", "}")
	f.Fuzz(func(t *testing.T, name, sent, a, b string) {
		key := grpcmw.KeyTemplate("m:{metadata." + strings.ReplaceAll(name, "|", "||") + "}")
		if _, err := grpcmw.New(locktest.New(), grpcmw.For(unary, key)); err != nil {
			t.Skip() // no key
		}
		of := func(values ...string) (string, core.Reason) {
			md := metadata.MD{}
			md.Append(sent, values...)
			got, err := keyIn(metadata.NewIncomingContext(t.Context(), md), t, key, nil)
			return got, answerOf(t, err, nil).reason
		}
		there := strings.EqualFold(name, sent)
		for _, value := range []string{a, b} {
			got, reason := of(value)
			if there && value != "" {
				if got != keys.Join("m", value) || reason != "" {
					t.Errorf("{metadata.%s} of %q = %q, %s", name, value, got, reason)
				}
			} else if reason != core.ReasonKeyMissing {
				t.Errorf("{metadata.%s} of %q=%q = %q, %s", name, sent, value, got, reason)
			}
		}
		if got, reason := of(a, b); there && reason != core.ReasonKeyInvalid {
			t.Errorf("{metadata.%s} of %q, %q = %q, %s", name, a, b, got, reason)
		}
	})
}
