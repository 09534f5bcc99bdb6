package grpcmw_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

// address is one of somebody's own type, as grpc's is behind net/http.
type address struct{ network, text string }

func (a address) Network() string { return a.network }
func (a address) String() string  { return a.text }

func TestThePeersIPIsReadOutOfAnyAddress(t *testing.T) {
	ip := net.ParseIP("10.1.2.3")
	for _, c := range []struct {
		addr net.Addr
		want string
	}{
		{&net.TCPAddr{IP: ip, Port: 1}, "10.1.2.3"},
		{&net.UDPAddr{IP: ip, Port: 1}, "10.1.2.3"},
		{&net.IPAddr{IP: ip}, "10.1.2.3"},
		{&net.UDPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, "fe80::1"},
		{address{"tcp", "10.1.2.3:5678"}, "10.1.2.3"},
		{address{"tcp", "10.1.2.3"}, "10.1.2.3"},
		{address{"tcp", "[::ffff:10.1.2.3]:5678"}, "10.1.2.3"},
		{address{"tcp", "::ffff:10.1.2.3"}, "10.1.2.3"},
		{address{"tcp", "[2001:DB8:0::1]:5678"}, "2001:db8::1"},
		{address{"tcp", "[2001:db8::1]"}, "2001:db8::1"},
		{address{"tcp", "[fe80::1%eth0]:5678"}, "fe80::1"},
		{address{"quic", "fe80::1%eth0"}, "fe80::1"},

		{nil, ""},
		{(*net.TCPAddr)(nil), ""},
		{(*net.UDPAddr)(nil), ""},
		{(*net.IPAddr)(nil), ""},
		{&net.IPAddr{}, ""},
		{&net.UnixAddr{Name: "10.1.2.3:80", Net: "unix"}, ""},
		{address{"unix", "10.1.2.3:80"}, ""},
		{address{"bufconn", "bufconn"}, ""},
		{address{"tcp", "host:80"}, ""},
		{address{"tcp", "10.1.2.3, 10.1.2.4"}, ""},
		{address{"", ""}, ""},
	} {
		ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: c.addr})
		got, err := keyIn(ctx, t, grpcmw.KeyTemplate("client:{peer.ip}"), nil)
		if (err == nil) != (c.want != "") || err == nil && got != keys.Join("client", c.want) {
			t.Errorf("%T %v: %q, %v, want %q", c.addr, c.addr, got, err, c.want)
		}
	}
}

func TestASPIFFEIDIsTheOnlyURIOfACertificate(t *testing.T) {
	parse := func(text string) *url.URL {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for _, c := range []struct {
		uris []string
		want string
	}{
		{[]string{"spiffe://example.org/pay"}, "spiffe://example.org/pay"},
		{[]string{"spiffe://example.org/pay", "spiffe://example.org/ship"}, ""},
		{[]string{"spiffe://example.org/pay", "https://example.org/pay"}, ""},
		{[]string{"https://example.org/pay"}, ""},
		{[]string{"spiffe://example.org"}, ""},
		{[]string{"spiffe:pay"}, ""},
		{nil, ""},
	} {
		var uris []*url.URL
		for _, u := range c.uris {
			uris = append(uris, parse(u))
		}
		certificate := newCertificate(t, "pay", uris...)
		state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate.Leaf}}
		ctx := peer.NewContext(t.Context(), &peer.Peer{AuthInfo: credentials.TLSInfo{State: state}})
		got, err := keyIn(ctx, t, grpcmw.KeyTemplate("peer:{peer.spiffe_id}"), nil)
		if (err == nil) != (c.want != "") || err == nil && got != keys.Join("peer", c.want) {
			t.Errorf("%q: %q, %v, want %q", c.uris, got, err, c.want)
		}
	}
}

// What is known of a client behind net/http is the same as without it.
func TestThePeerIsKnownBehindNetHTTP(t *testing.T) {
	id := &url.URL{Scheme: "spiffe", Host: "example.org", Path: "/pay"}
	for name, c := range map[string]struct {
		template    string
		certificate *tls.Certificate
		want        string
	}{
		"ip, clear text": {"client:{peer.ip}", nil, "127.0.0.1"},
		"ip, TLS":        {"client:{peer.ip}", newCertificate(t, "pay"), "127.0.0.1"},
		"common name":    {"client:{peer.common_name}", newCertificate(t, "pay"), "pay"},
		"SPIFFE ID":      {"client:{peer.spiffe_id}", newCertificate(t, "pay", id), id.String()},
	} {
		t.Run(name, func(t *testing.T) {
			var key string
			h := &handlers{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				if l, ok := core.FromContext(ctx); ok {
					key = l.Key()
				}
				return &testpb.SimpleResponse{}, nil
			}}
			m := mustNew(t, locktest.New(), grpcmw.For(unary, grpcmw.KeyTemplate(c.template), grpcmw.OnMissing(grpcmw.Skip)))
			conn := serveHTTP(t, m.ServerOptions(), func(s *grpc.Server) { testpb.RegisterTestServiceServer(s, h) }, c.certificate)
			if _, err := testpb.NewTestServiceClient(conn).UnaryCall(timeout(t), order("7")); err != nil {
				t.Fatal(err)
			}
			if want := keys.Join("client", c.want); !strings.HasSuffix(key, want) {
				t.Errorf("locked on %q, want %q at its end", key, want)
			}
		})
	}
}
