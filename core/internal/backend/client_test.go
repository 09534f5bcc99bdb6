package backend

import (
	"context"
	"crypto/tls"
	"net"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/latchkey-go/latchkey/core/internal/panics"
)

// same fails the test unless the two options, of clients that are in use, are the
// same but for these fields. A field that go-redis adds is in neither list: it is to
// be copied, or left out, on purpose.
func same(t *testing.T, own, theirs any, but ...string) {
	t.Helper()
	a, b := reflect.ValueOf(own).Elem(), reflect.ValueOf(theirs).Elem()
	for i := range a.NumField() {
		f := a.Type().Field(i)
		switch {
		case !f.IsExported(), slices.Contains(but, f.Name):
		case f.Type.Kind() == reflect.Func:
			if a.Field(i).IsNil() != b.Field(i).IsNil() {
				t.Errorf("%s: one has none", f.Name)
			}
		case !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()):
			t.Errorf("%s is %v, and theirs %v", f.Name, a.Field(i), b.Field(i))
		}
	}
}

// What a client of the locks' own does not take over.
var others = []string{
	"ContextTimeoutEnabled", "DialerRetries", "DialerRetryTimeout", "DialerRetryBackoff", // the Locker repeats by itself
	"PoolSize", "PoolFIFO", "MinIdleConns", "MaxIdleConns", "MaxActiveConns", "MaxConcurrentDials", // few connections
	"PipelinePoolSize", "PipelineReadBufferSize", "PipelineWriteBufferSize", "AutoPipelineOptions",
	"DisableIndentity",                                                 // DisableIdentity by its old name
	"PushNotificationProcessor", "MaintNotificationsConfig", "Limiter", // theirs alone
	"ClientSideCacheConfig", "ClientSideCache", "FailingTimeoutSeconds", "UnstableResp3",
}

func TestAnOwnClientHasTheOptionsOfTheirs(t *testing.T) {
	provider := func() (string, string) { return "u", "p" }
	for name, o := range map[string]*redis.Options{
		"none": {},
		"all that can be copied": {
			Network: "unix", Addr: "/run/redis.sock", ClientName: "shop", IdentitySuffix: "x", DB: 3, Protocol: 2,
			Username: "u", Password: "p", DialTimeout: 1, ReadTimeout: 2, WriteTimeout: 3, PoolTimeout: 4,
			MaxRetries: 7, MinRetryBackoff: 5, MaxRetryBackoff: 6, TLSConfig: &tls.Config{ServerName: "redis"},
			ConnMaxIdleTime: 8, ConnMaxLifetime: 9, ConnMaxLifetimeJitter: 1, ReadBufferSize: 512, WriteBufferSize: 256,
			DisableIdentity: true, OnConnect: func(context.Context, *redis.Conn) error { return nil }, CredentialsProvider: provider,
		},
		"none of what has a default": {
			MaxRetries: -1, MinRetryBackoff: -1, MaxRetryBackoff: -1, ReadTimeout: -1, WriteTimeout: -1, ConnMaxIdleTime: -1,
		},
		"no deadlines": {ReadTimeout: -2, WriteTimeout: -2},
		"what belongs to them": {
			MinIdleConns: 10, MaxIdleConns: 20, MaxActiveConns: 30, PoolFIFO: true, MaxConcurrentDials: 2,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		},
	} {
		t.Run(name, func(t *testing.T) {
			theirs := redis.NewClient(o)
			defer theirs.Close()
			own, conns := newOwn(theirs, &panics.Log{})
			if own == nil {
				t.Fatal("none")
			}
			defer own.Close()
			options := own.(*redis.Client).Options()
			same(t, options, theirs.Options(), others...)
			if !options.ContextTimeoutEnabled || conns == nil {
				t.Error("it does not end calls at their deadline, or its connections are not known")
			}
			if n := own.PoolStats().TotalConns; n != 0 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestAnOwnClientOfAClusterHasTheOptionsOfTheirs(t *testing.T) {
	for name, o := range map[string]*redis.ClusterOptions{
		"none": {Addrs: []string{"127.0.0.1:1"}},
		"all that can be copied": {
			Addrs: []string{"127.0.0.1:1", "127.0.0.1:2"}, ClientName: "shop", Username: "u", Password: "p", Protocol: 2,
			MaxRedirects: 7, MaxRetries: 5, MinRetryBackoff: 5, MaxRetryBackoff: 6, DialTimeout: 1, ReadTimeout: 2,
			WriteTimeout: 3, PoolTimeout: 4, ConnMaxIdleTime: 8, ConnMaxLifetime: 9, TLSConfig: &tls.Config{ServerName: "redis"},
			ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) { return nil, nil },
		},
		"none of what has a default": {
			Addrs: []string{"127.0.0.1:1"}, MaxRedirects: -1, MinRetryBackoff: -1, MaxRetryBackoff: -1, ReadTimeout: -1, WriteTimeout: -1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			theirs := redis.NewClusterClient(o)
			defer theirs.Close()
			own, conns := newOwn(theirs, &panics.Log{})
			if own == nil {
				t.Fatal("none")
			}
			defer own.Close()
			same(t, own.(*redis.ClusterClient).Options(), theirs.Options(), append([]string{
				"Dialer", "ReadOnly", "RouteByLatency", "RouteRandomly", "RouteByLatencyTolerance", "ShardPicker",
			}, others...)...)
			if conns.bypassed {
				t.Error("it is taken for one whose nodes have clients of the caller's")
			}
		})
	}
	theirs := redis.NewClusterClient(&redis.ClusterOptions{NewClient: func(o *redis.Options) *redis.Client { return redis.NewClient(o) }, ReadOnly: true, RouteRandomly: true})
	defer theirs.Close()
	own, conns := newOwn(theirs, &panics.Log{})
	defer own.Close()
	o := own.(*redis.ClusterClient).Options()
	if !conns.bypassed || o.ReadOnly || o.RouteRandomly {
		t.Errorf("%+v", o)
	}
}

func TestTheOwnClientsConnectionsAreFew(t *testing.T) {
	for _, c := range []struct{ poolSize, maxActive, want int }{{0, 0, 8}, {100, 0, 8}, {5, 0, 5}, {5, 3, 3}, {0, 3, 3}, {100, 50, 8}, {1, 1, 1}} {
		if got := ownPoolSize(c.poolSize, c.maxActive); got != c.want {
			t.Errorf("PoolSize %d, MaxActiveConns %d: %d, want %d", c.poolSize, c.maxActive, got, c.want)
		}
	}
}

// Under Sentinels the client is told of a failover by a subscription of its own.
func TestASentinelClientAndAWrapperAreUsedAsTheyAre(t *testing.T) {
	sentinel := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"127.0.0.1:1"}})
	defer sentinel.Close()
	wrapped := struct{ *redis.Client }{redis.NewClient(&redis.Options{})}
	defer wrapped.Close()
	for _, rdb := range []redis.UniversalClient{sentinel, wrapped} {
		if own, _ := newOwn(rdb, &panics.Log{}); own != nil {
			t.Errorf("%T was made again", rdb)
		}
	}
}

// A Dialer that does not end with its context must not hold up who has gone.
func TestADialEndsWhenItsConnectionIsGivenUp(t *testing.T) {
	release := make(chan struct{})
	late := make(chan struct{})
	client, server := net.Pipe()
	defer client.Close()
	k := newConnections(func(context.Context, string, string) (net.Conn, error) {
		<-release
		defer close(late)
		return server, nil
	}, &panics.Log{})
	dialled := make(chan net.Conn, 1)
	go func() {
		c, err := k.dial(context.Background(), "tcp", "a")
		if err != nil {
			t.Error(err)
		}
		dialled <- c
	}()
	for len(k.snapshot()) == 0 {
		<-time.After(time.Millisecond)
	}
	k.closeSilent("a", k.search(), time.Now().Add(time.Hour))
	if _, err := (<-dialled).Write([]byte("x")); err == nil {
		t.Error("it can be written to")
	}
	close(release)
	<-late
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("what was dialled too late is not closed")
	}
	if n := len(k.snapshot()); n != 0 {
		t.Errorf("%d connections are known", n)
	}
}

func TestOnlyConnectionsOfWhichNothingIsHeardAreClosed(t *testing.T) {
	var ends []net.Conn
	k := newConnections(func(context.Context, string, string) (net.Conn, error) {
		a, b := net.Pipe()
		ends = append(ends, b)
		return a, nil
	}, &panics.Log{})
	var conns []net.Conn
	for _, addr := range []string{"here", "here", "there"} {
		c, err := k.dial(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	round, began := k.search(), time.Now()
	go ends[0].Write([]byte("x"))
	if _, err := conns[0].Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	newer, _ := k.dial(t.Context(), "tcp", "here")
	k.closeSilent("here", round, began)
	for i, want := range []bool{true, false, true} {
		if _, there := k.snapshot()[conns[i].(*conn)]; there != want {
			t.Errorf("connection %d is open: %v", i, there)
		}
	}
	if _, there := k.snapshot()[newer.(*conn)]; !there {
		t.Error("the new one was closed")
	}
	if _, err := conns[1].Read(make([]byte, 1)); err != errDead {
		t.Errorf("%v, want errDead", err)
	}
}

// snapshot is those that are open.
func (k *connections) snapshot() map[*conn]struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	open := make(map[*conn]struct{}, len(k.open))
	for c := range k.open {
		open[c] = struct{}{}
	}
	return open
}
