package grpcmw

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
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

// peerIP is the address without port and zone. An IPv4 address is the same
// whether it came to a socket of IPv4 or of IPv6.
func peerIP(p *peer.Peer) string {
	tcp, ok := p.Addr.(*net.TCPAddr)
	if !ok {
		return ""
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}

func peerCommonName(p *peer.Peer) string {
	tls, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(tls.State.PeerCertificates) == 0 {
		return ""
	}
	return tls.State.PeerCertificates[0].Subject.CommonName
}

func peerSPIFFEID(p *peer.Peer) string {
	tls, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || tls.SPIFFEID == nil {
		return ""
	}
	return tls.SPIFFEID.String()
}
