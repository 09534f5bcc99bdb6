package grpcmw_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// serveHTTP serves what register registers behind net/http, as those do who have
// one port for gRPC and for HTTP, and returns a connection to it. Without a
// certificate it does so in clear text.
func serveHTTP(t testing.TB, server []grpc.ServerOption, register func(*grpc.Server), certificate *tls.Certificate) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(server...)
	register(srv)
	web := &http.Server{Handler: srv, Protocols: new(http.Protocols)}
	transport := insecure.NewCredentials()
	if certificate == nil {
		web.Protocols.SetUnencryptedHTTP2(true)
	} else {
		web.Protocols.SetHTTP2(true)
		web.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}, ClientAuth: tls.RequireAnyClientCert}
		transport = credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{*certificate}, InsecureSkipVerify: true})
	}
	served := make(chan error, 1)
	go func() {
		if certificate == nil {
			served <- web.Serve(l)
		} else {
			served <- web.ServeTLS(l, "", "")
		}
	}()
	t.Cleanup(func() {
		srv.Stop()
		_ = web.Close()
		<-served
	})
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(transport))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// newCertificate returns a self-signed certificate.
func newCertificate(t testing.TB, commonName string, uris ...*url.URL) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: commonName}, URIs: uris,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
