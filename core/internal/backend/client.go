package backend

import (
	"cmp"
	"context"
	"errors"
	"net"
	"reflect"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/auth"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/latchkey-go/latchkey/core/internal/panics"
)

// maxOwnConns is how many connections a client of the locks' own keeps to one
// server, besides that of its subscriptions. Three calls are under way while
// Redis answers; more are only needed while connections are silent.
const maxOwnConns = 8

// newOwn returns a client of the locks' own, made from the options of the
// caller's: its connections are used by nothing else, so that no other command
// can use them up, and it ends a call at its context's deadline. It returns nil
// if rdb cannot be made again.
//
// A Sentinel client cannot: it learns of a failover by a subscription that closes
// the connections of its own pool only. Nor can a wrapper: its methods may do more
// than those of the client within.
func newOwn(rdb redis.UniversalClient, log *panics.Log) (redis.UniversalClient, *connections) {
	switch c := rdb.(type) {
	case *redis.Client:
		if o := c.Options(); !underSentinels(o) {
			return newClient(o, log)
		}
	case *redis.ClusterClient:
		return newClusterClient(c.Options(), log)
	}
	return nil, nil
}

// underSentinels reports whether a client with these options asks Sentinels for
// its server.
func underSentinels(o *redis.Options) bool { return o.Addr == "FailoverClient" } // what go-redis puts there

// newClient returns a client of the same server, and its connections.
func newClient(theirs *redis.Options, log *panics.Log) (*redis.Client, *connections) {
	conns := newConnections(theirs.Dialer, log)
	return redis.NewClient(ownOptions(theirs, conns)), conns
}

// ownOptions are the options of a client for the same server. They are copied
// field by field. What the options of a client that is in use have at other
// places is not what the caller gave (defaults are filled in), is changed by that
// client (MaintNotificationsConfig, under a lock of its own), or belongs to it
// (PushNotificationProcessor). Left out: what keeps connections in reserve, caches
// on the client's side, and the Limiter, by which a renewal must not be refused.
func ownOptions(theirs *redis.Options, conns *connections) *redis.Options {
	our := callbacks{conns.log}
	//lint:ignore SA1019 Clients may have been told so by the old name of the option.
	noIdentity := theirs.DisableIdentity || theirs.DisableIndentity
	return &redis.Options{
		Network: theirs.Network, Addr: theirs.Addr, NodeAddress: theirs.NodeAddress, DB: theirs.DB,
		Dialer: conns.dial, TLSConfig: theirs.TLSConfig, OnConnect: our.onConnect(theirs.OnConnect),
		DialTimeout: theirs.DialTimeout, DialerRetries: 1,

		Protocol: theirs.Protocol, ClientName: theirs.ClientName, IdentitySuffix: theirs.IdentitySuffix,
		DisableIdentity:          noIdentity,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},

		Username: theirs.Username, Password: theirs.Password,
		CredentialsProvider:          our.provider(theirs.CredentialsProvider),
		CredentialsProviderContext:   our.providerContext(theirs.CredentialsProviderContext),
		StreamingCredentialsProvider: our.streaming(theirs.StreamingCredentialsProvider),

		MaxRetries:      orNone(theirs.MaxRetries),
		MinRetryBackoff: orNone(theirs.MinRetryBackoff), MaxRetryBackoff: orNone(theirs.MaxRetryBackoff),
		ReadTimeout: timeoutAgain(theirs.ReadTimeout), WriteTimeout: timeoutAgain(theirs.WriteTimeout),
		ContextTimeoutEnabled: true,

		PoolSize: ownPoolSize(theirs.PoolSize, theirs.MaxActiveConns), PipelinePoolSize: -1, PoolTimeout: theirs.PoolTimeout,
		ReadBufferSize: theirs.ReadBufferSize, WriteBufferSize: theirs.WriteBufferSize,
		ConnMaxIdleTime: theirs.ConnMaxIdleTime,
		ConnMaxLifetime: theirs.ConnMaxLifetime, ConnMaxLifetimeJitter: theirs.ConnMaxLifetimeJitter,
	}
}

// newClusterClient returns a client of the same cluster, and its connections. The
// caller's NewClient and ClusterSlots are called as they are by theirs: addresses may
// be translated there.
func newClusterClient(theirs *redis.ClusterOptions, log *panics.Log) (*redis.ClusterClient, *connections) {
	o := *theirs // NewClusterClient changes what it is given
	conns, our := newConnections(o.Dialer, log), callbacks{log}
	if o.Dialer == nil {
		conns.connect = redis.NewDialer(&redis.Options{DialTimeout: o.DialTimeout, TLSConfig: o.TLSConfig})
	}
	conns.bypassed = reflect.ValueOf(o.NewClient).Pointer() != reflect.ValueOf(redis.NewClient).Pointer()
	o.NewClient, o.ClusterSlots = our.newClient(o.NewClient), our.clusterSlots(o.ClusterSlots)
	o.Dialer, o.DialerRetries, o.OnConnect = conns.dial, 1, our.onConnect(o.OnConnect)
	o.CredentialsProvider = our.provider(o.CredentialsProvider)
	o.CredentialsProviderContext = our.providerContext(o.CredentialsProviderContext)
	o.StreamingCredentialsProvider = our.streaming(o.StreamingCredentialsProvider)
	o.MaxRedirects, o.MaxRetries = orNone(o.MaxRedirects), orNone(o.MaxRetries)
	o.MinRetryBackoff, o.MaxRetryBackoff = orNone(o.MinRetryBackoff), orNone(o.MaxRetryBackoff)
	o.ReadTimeout, o.WriteTimeout = timeoutAgain(o.ReadTimeout), timeoutAgain(o.WriteTimeout)
	o.ContextTimeoutEnabled = true
	// RouteByLatency and RouteRandomly would set ReadOnly.
	o.ReadOnly, o.RouteByLatency, o.RouteRandomly, o.ShardPicker = false, false, false, nil
	o.PoolSize, o.PipelinePoolSize = ownPoolSize(o.PoolSize, o.MaxActiveConns), -1
	o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns, o.MaxConcurrentDials, o.PoolFIFO = 0, 0, 0, 0, false
	o.AutoPipelineOptions, o.PushNotificationProcessor = nil, nil
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClusterClient(&o), conns
}

// orNone turns an option of a client that is in use, in which zero is none, into
// what stands for none where options are given.
func orNone[T ~int | ~int64](n T) T { return cmp.Or(n, -1) }

// timeoutAgain is orNone for ReadTimeout and WriteTimeout: zero is no timeout, -1
// no deadline at all.
func timeoutAgain[T ~int64](d T) T {
	if d <= 0 {
		return d - 1
	}
	return d
}

// ownPoolSize is how many connections a client may have, given how many the
// caller's may: zero is no bound.
func ownPoolSize(poolSize, maxActive int) int {
	n := maxOwnConns
	for _, theirs := range []int{poolSize, maxActive} {
		if theirs > 0 {
			n = min(n, theirs)
		}
	}
	return n
}

// callbacks wraps functions of the caller's options, which the client calls in
// goroutines of its own. A panic in one of them is an error of the connection that
// it was called for.
type callbacks struct{ log *panics.Log }

func (c callbacks) onConnect(f func(context.Context, *redis.Conn) error) func(context.Context, *redis.Conn) error {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, cn *redis.Conn) (err error) {
		defer c.log.Contain("OnConnect of the Redis client's options", &err)
		return f(ctx, cn)
	}
}

// newClient has a node's client fail whatever it is given if f does.
func (c callbacks) newClient(f func(*redis.Options) *redis.Client) func(*redis.Options) *redis.Client {
	return func(o *redis.Options) (node *redis.Client) {
		err := errNoClient
		defer func() {
			if node == nil {
				node = redis.NewClient(&redis.Options{MaxRetries: -1, DialerRetries: 1, Dialer: func(context.Context, string, string) (net.Conn, error) {
					return failedConn{&dialError{err}}, nil
				}})
			}
		}()
		defer c.log.Contain("NewClient of the Redis client's options", &err)
		return f(o)
	}
}

var errNoClient = errors.New("redis: NewClient of the client's options has returned no client")

func (c callbacks) clusterSlots(f func(context.Context) ([]redis.ClusterSlot, error)) func(context.Context) ([]redis.ClusterSlot, error) {
	if f == nil {
		return nil
	}
	return func(ctx context.Context) (slots []redis.ClusterSlot, err error) {
		defer c.log.Contain("ClusterSlots of the Redis client's options", &err)
		return f(ctx)
	}
}

const provider = "the credentials provider of the Redis client's options"

// provider has no error to return: the server refuses a user without a password.
func (c callbacks) provider(f func() (string, string)) func() (string, string) {
	if f == nil {
		return nil
	}
	return func() (user, password string) {
		var err error
		defer c.log.Contain(provider, &err)
		return f()
	}
}

func (c callbacks) providerContext(f func(context.Context) (string, string, error)) func(context.Context) (string, string, error) {
	if f == nil {
		return nil
	}
	return func(ctx context.Context) (user, password string, err error) {
		defer c.log.Contain(provider, &err)
		return f(ctx)
	}
}

func (c callbacks) streaming(p auth.StreamingCredentialsProvider) auth.StreamingCredentialsProvider {
	if p == nil {
		return nil
	}
	return streamingProvider{p, c.log}
}

// streamingProvider is the caller's.
type streamingProvider struct {
	auth.StreamingCredentialsProvider
	log *panics.Log
}

func (p streamingProvider) Subscribe(l auth.CredentialsListener) (c auth.Credentials, u auth.UnsubscribeFunc, err error) {
	defer p.log.Contain(provider, &err)
	return p.StreamingCredentialsProvider.Subscribe(l)
}

// dialer is a client's Dialer.
type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)
