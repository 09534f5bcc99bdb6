package grpcmw

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/latchkey-go/latchkey/internal/lines"
)

// peerValue returns what reads a value of the client's connection, or what is
// wrong with its name.
func peerValue(name string) (read func(context.Context) (string, error), fault string) {
	value := map[string]func(*peer.Peer) string{
		"ip": peerIP, "common_name": peerCommonName, "spiffe_id": peerSPIFFEID,
	}[name]
	if value == nil {
		return nil, fmt.Sprintf("unknown value %q of the peer: there are ip, common_name and spiffe_id", name)
	}
	return func(ctx context.Context) (string, error) {
		if p, ok := peer.FromContext(ctx); ok {
			return value(p), nil
		}
		return "", nil
	}, ""
}

// connOf identifies the call's connection; none if the interceptor is called by hand.
func connOf(ctx context.Context) lines.Conn {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return lines.Conn{}
	}
	return lines.ConnOf(p.LocalAddr, p.Addr)
}

// peerIP is the address without port and zone. An IPv4 address is the same
// whether it came to a socket of IPv4 or of IPv6, and whichever type of address
// the listener has. A Unix socket and an in-memory connection have none.
func peerIP(p *peer.Peer) string {
	ip := ipOf(p.Addr).Unmap().WithZone("")
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}

func ipOf(addr net.Addr) netip.Addr {
	switch a := addr.(type) {
	case nil:
		return netip.Addr{}
	case *net.TCPAddr:
		return a.AddrPort().Addr() // of a nil pointer none, as below
	case *net.UDPAddr:
		return a.AddrPort().Addr()
	case *net.IPAddr:
		if a == nil {
			return netip.Addr{}
		}
		ip, _ := netip.AddrFromSlice(a.IP)
		return ip
	case *net.UnixAddr:
		return netip.Addr{}
	}
	if strings.HasPrefix(addr.Network(), "unix") {
		return netip.Addr{} // its name may look like an address
	}
	// Behind grpc.Server.ServeHTTP it is a type of grpc's own, and its text
	// http.Request.RemoteAddr: ip:port, or what a middleware has put there.
	text := addr.String()
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	} else if inner, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSuffix(inner, "]")
	}
	ip, _ := netip.ParseAddr(text)
	return ip
}

func peerCommonName(p *peer.Peer) string {
	state, ok := tlsOf(p)
	if !ok {
		return ""
	}
	return state.PeerCertificates[0].Subject.CommonName
}

// tlsOf returns the state of a connection on which the client has shown a
// certificate.
func tlsOf(p *peer.Peer) (tls.ConnectionState, bool) {
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	return info.State, ok && len(info.State.PeerCertificates) > 0
}

// peerSPIFFEID reads the certificate itself: behind grpc.Server.ServeHTTP nobody
// has done so before.
//
// See https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md#2-spiffe-id:
// the ID is the only URI that the certificate has.
func peerSPIFFEID(p *peer.Peer) string {
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if ok && info.SPIFFEID != nil {
		return info.SPIFFEID.String()
	}
	state, ok := tlsOf(p)
	if !ok || len(state.PeerCertificates[0].URIs) != 1 {
		return ""
	}
	uri := state.PeerCertificates[0].URIs[0]
	text := uri.String()
	if uri.Scheme != "spiffe" || uri.Opaque != "" || uri.User != nil || uri.Host == "" || uri.Path == "" || len(uri.Host) > 255 || len(text) > 2048 {
		return ""
	}
	return text
}
