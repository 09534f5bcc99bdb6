package core_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority is a CA of a test's own.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "CA of " + t.Name()}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = a.sign(template)
	return a
}

// sign makes a key, and a certificate of it: the CA's own if there is none yet.
func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, crypto.Signer) {
	a.t.Helper()
	key := must[*ecdsa.PrivateKey](a.t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template.SerialNumber = must[*big.Int](a.t)(rand.Int(rand.Reader, big.NewInt(1<<62)))
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der := must[[]byte](a.t)(x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer))
	return must[*x509.Certificate](a.t)(x509.ParseCertificate(der)), key
}

// leaf returns a certificate for 127.0.0.1, of a server or of a client.
func (a *authority) leaf(usage x509.ExtKeyUsage) tls.Certificate {
	a.t.Helper()
	cert, key := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "latchkey"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// pool has those in it that trust the CA.
func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// files writes what a server needs: its certificate, its key and the CA's
// certificate.
func (a *authority) files() (cert, key, ca string) {
	a.t.Helper()
	dir := a.t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if err := os.WriteFile(path, text, 0o600); err != nil {
			a.t.Fatal(err)
		}
		return path
	}
	leaf := a.leaf(x509.ExtKeyUsageServerAuth)
	pkcs8 := must[[]byte](a.t)(x509.MarshalPKCS8PrivateKey(leaf.PrivateKey))
	return write("server.pem", "CERTIFICATE", leaf.Certificate[0]),
		write("server-key.pem", "PRIVATE KEY", pkcs8),
		write("ca.pem", "CERTIFICATE", a.cert.Raw)
}
