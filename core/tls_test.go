package core_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// startTLS starts a server that talks TLS, with clients that have a certificate,
// at the address that it returns; the test itself uses its plain one.
//
// The port is opened while the server runs: if another process has taken it
// meanwhile, the next one is tried.
func startTLS(t *testing.T, ca *authority) (addr string, admin *redis.Client) {
	t.Helper()
	admin = locktest.StartRedis(t).Client(nil)
	if len(must[map[string]string](t)(admin.ConfigGet(t.Context(), "tls-port").Result())) == 0 {
		if os.Getenv("LATCHKEY_REQUIRE_REDIS") == "1" {
			t.Fatal("this redis-server is built without TLS")
		}
		t.Skip("\n*** SKIPPED: this redis-server is built without TLS.")
	}
	cert, key, root := ca.files()
	const attempts = 5
	for i := 1; ; i++ {
		free := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
		addr = free.Addr().String()
		port := free.Addr().(*net.TCPAddr).Port
		free.Close()
		err := admin.Do(t.Context(), "CONFIG", "SET", "tls-cert-file", cert, "tls-key-file", key,
			"tls-ca-cert-file", root, "tls-auth-clients", "yes", "tls-port", strconv.Itoa(port)).Err()
		if err == nil {
			return addr, admin
		}
		if i == attempts {
			t.Fatal(err)
		}
	}
}

func TestTheWholeLifeOfLocksOverMutualTLS(t *testing.T) {
	t.Parallel()
	line, _, _ := documentedRights(t)
	ca := newAuthority(t)
	addr, admin := startTLS(t, ca)
	if err := admin.Do(t.Context(), line...).Err(); err != nil {
		t.Fatal(err)
	}
	client := func() *redis.Client {
		o := asLocks()
		o.Addr = addr
		o.TLSConfig = &tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{ca.leaf(x509.ExtKeyUsageClientAuth)}}
		rdb := redis.NewClient(o)
		t.Cleanup(func() { rdb.Close() })
		return rdb
	}
	liveALocksLife(t, newLocker(t, client()), newLocker(t, client()), admin)
}

func TestAClientThatTLSRefusesIsToldWhy(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	addr, _ := startTLS(t, ca)
	mine := []tls.Certificate{ca.leaf(x509.ExtKeyUsageClientAuth)}
	unknown := func(err error) bool { _, ok := errors.AsType[x509.UnknownAuthorityError](err); return ok }
	another := func(err error) bool { _, ok := errors.AsType[x509.HostnameError](err); return ok }
	alert := func(err error) bool { _, ok := errors.AsType[*net.OpError](err); return ok }
	for name, c := range map[string]struct {
		config *tls.Config
		why    func(error) bool
		remedy string
	}{
		"it does not know the CA":    {&tls.Config{Certificates: mine}, unknown, "RootCAs"},
		"it knows another CA":        {&tls.Config{Certificates: mine, RootCAs: other.pool()}, unknown, "RootCAs"},
		"it looks for another name":  {&tls.Config{Certificates: mine, RootCAs: ca.pool(), ServerName: "redis.example"}, another, "ServerName"},
		"it has no certificate":      {&tls.Config{RootCAs: ca.pool()}, alert, "tls-auth-clients"},
		"its certificate is foreign": {&tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{other.leaf(x509.ExtKeyUsageClientAuth)}}, alert, "tls-auth-clients"},
		"it does not talk TLS":       {nil, nil, "TLSConfig"},
	} {
		t.Run(name, func(t *testing.T) {
			rdb := redis.NewClient(&redis.Options{Addr: addr, TLSConfig: c.config, MaxRetries: -1, DialerRetries: 1})
			t.Cleanup(func() { rdb.Close() })
			l := newLocker(t, rdb)
			_, err := l.Acquire(t.Context(), "k")
			if !errors.Is(err, core.ErrBackend) || c.why != nil && !c.why(err) {
				t.Errorf("Acquire: %v (%#v)", err, errors.Unwrap(err))
			}
			err = l.Check(t.Context())
			f := wantFaults(t, err, core.FaultTLS).Faults[0]
			if !strings.Contains(f.Remedy, c.remedy) {
				t.Errorf("remedy %q, want %s", f.Remedy, c.remedy)
			}
			if !errors.Is(err, core.ErrUnfit) || errors.Is(err, core.ErrBackend) || c.why != nil && !c.why(err) {
				t.Errorf("Check: %v", err)
			}
		})
	}
}

func TestAClientThatTalksTLSToAServerThatDoesNotIsToldSo(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	srv := locktest.StartRedis(t)
	config := &tls.Config{RootCAs: ca.pool()}
	one := redis.NewClient(&redis.Options{Addr: srv.Addr(), TLSConfig: config})
	many := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{srv.Addr()}, TLSConfig: config})
	for _, rdb := range []redis.UniversalClient{one, many} {
		defer rdb.Close()
		began := time.Now()
		err := newLocker(t, rdb).Check(t.Context())
		f := wantFaults(t, err, core.FaultTLS).Faults[0]
		if !strings.Contains(f.Problem, "the client talks TLS, and it does not") || !errors.Is(err, core.ErrUnfit) {
			t.Errorf("%T: %v", rdb, err)
		}
		if d := time.Since(began); d > 8*time.Second { // such a server says nothing
			t.Errorf("%T: it took %v", rdb, d)
		}
	}
}

func TestAClusterThatTalksTLSIsToldToAClientThatDoesNot(t *testing.T) {
	addr, _ := startTLS(t, newAuthority(t))
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{addr}, MaxRedirects: -1})
	t.Cleanup(func() { rdb.Close() })
	err := newLocker(t, rdb).Check(t.Context())
	wantFaults(t, err, core.FaultTLS)
}
