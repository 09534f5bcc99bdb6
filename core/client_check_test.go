package core

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// The ways to wrap a client.
type (
	embedsInterface struct{ redis.UniversalClient }
	embedsClient    struct{ *redis.Client }
	embedsRing      struct{ *redis.Ring }
	embedsCluster   struct{ *redis.ClusterClient }
	embedsWrapper   struct {
		name string
		*embedsInterface
	}
	embedsClusterWrapper struct{ embedsCluster }
	// namedField has its client in a field, and the methods of another type.
	namedField struct {
		forwarder
		//lint:ignore U1000 New looks at it by reflection.
		name string
		//lint:ignore U1000 New looks at it by reflection.
		client any
		inner  redis.UniversalClient
	}
	manyClients struct {
		forwarder
		shards []redis.UniversalClient
		byName map[string]*redis.Ring
	}
	besideAnother struct {
		redis.UniversalClient
		cache *redis.Ring
	}
)

// forwarder is a client of which nothing can be seen: what it calls is in functions.
type forwarder struct {
	redis.Cmdable
	client func() redis.UniversalClient
}

func (f forwarder) AddHook(h redis.Hook) { f.client().AddHook(h) }
func (f forwarder) Watch(ctx context.Context, fn func(*redis.Tx) error, keys ...string) error {
	return f.client().Watch(ctx, fn, keys...)
}
func (f forwarder) Do(ctx context.Context, args ...any) *redis.Cmd {
	return f.client().Do(ctx, args...)
}
func (f forwarder) Process(ctx context.Context, cmd redis.Cmder) error {
	return f.client().Process(ctx, cmd)
}
func (f forwarder) AutoPipeline() (*redis.AutoPipeliner, error) { return f.client().AutoPipeline() }
func (f forwarder) AutoPipelineWithOptions(o *redis.AutoPipelineOptions) (*redis.AutoPipeliner, error) {
	return f.client().AutoPipelineWithOptions(o)
}
func (f forwarder) AsyncAutoPipeline() (*redis.AutoPipeliner, error) {
	return f.client().AsyncAutoPipeline()
}
func (f forwarder) AsyncAutoPipelineWithOptions(o *redis.AutoPipelineOptions) (*redis.AutoPipeliner, error) {
	return f.client().AsyncAutoPipelineWithOptions(o)
}
func (f forwarder) Subscribe(ctx context.Context, channels ...string) *redis.PubSub {
	return f.client().Subscribe(ctx, channels...)
}
func (f forwarder) PSubscribe(ctx context.Context, channels ...string) *redis.PubSub {
	return f.client().PSubscribe(ctx, channels...)
}
func (f forwarder) SSubscribe(ctx context.Context, channels ...string) *redis.PubSub {
	return f.client().SSubscribe(ctx, channels...)
}
func (f forwarder) Close() error                { return nil }
func (f forwarder) PoolStats() *redis.PoolStats { return f.client().PoolStats() }

var _ redis.UniversalClient = forwarder{}

func TestNewFindsTheClientWithinAWrapper(t *testing.T) {
	client := anyClient(t)
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:6379"}, HeartbeatFrequency: time.Hour})
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:6379"}})
	pipeliner, err := client.AutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ring.Close(); cluster.Close(); pipeliner.Close() })

	for name, c := range map[string]struct {
		rdb  redis.UniversalClient
		says string // "" if it is taken
	}{
		"a Ring in an interface":                  {embedsInterface{ring}, "wraps a *redis.Ring"},
		"a pointer to it":                         {&embedsInterface{ring}, "wraps a *redis.Ring"},
		"a Ring itself":                           {embedsRing{ring}, "wraps a *redis.Ring"},
		"a Ring in a wrapper in a wrapper":        {embedsWrapper{"x", &embedsInterface{&embedsRing{ring}}}, "wraps a *redis.Ring"},
		"a Ring in a named field":                 {namedField{inner: ring}, "wraps a *redis.Ring"},
		"a Ring as its commands":                  {forwarder{Cmdable: ring}, "wraps a *redis.Ring"},
		"a wrapped Ring in a named field":         {&namedField{inner: embedsInterface{ring}}, "wraps a *redis.Ring"},
		"a Ring among many":                       {manyClients{shards: []redis.UniversalClient{client, ring}}, "wraps a *redis.Ring"},
		"a Ring by name":                          {&manyClients{byName: map[string]*redis.Ring{"a": ring}}, "wraps a *redis.Ring"},
		"an AutoPipeliner":                        {embedsInterface{pipeliner}, "wraps a *redis.AutoPipeliner"},
		"a cluster's client in an interface":      {embedsInterface{cluster}, "hides a *redis.ClusterClient"},
		"a pointer to that":                       {&embedsInterface{cluster}, "hides a *redis.ClusterClient"},
		"a cluster's client in a named field":     {namedField{inner: cluster}, "hides a *redis.ClusterClient"},
		"a wrapped cluster's client in a wrapper": {embedsWrapper{"x", &embedsInterface{embedsCluster{cluster}}}, "hides a *redis.ClusterClient"},
		"nothing":              {embedsInterface{}, "nil redis.UniversalClient"},
		"nothing in a pointer": {&embedsInterface{}, "nil redis.UniversalClient"},
		"nothing in a wrapper": {embedsWrapper{"x", nil}, "nil *core.embedsInterface"},
		"a nil *Client":        {embedsClient{}, "nil *redis.Client"},
		"a nil *ClusterClient": {embedsCluster{}, "nil *redis.ClusterClient"},

		"a client in an interface":              {embedsInterface{client}, ""},
		"a client":                              {embedsClient{client}, ""},
		"a pointer to a client's wrapper":       {&embedsClient{client}, ""},
		"a client in a named field":             {&namedField{inner: client}, ""},
		"a cluster's client itself":             {embedsCluster{cluster}, ""},
		"a pointer to a cluster's wrapper":      {&embedsCluster{cluster}, ""},
		"a cluster's client in a wrapper twice": {&embedsClusterWrapper{embedsCluster{cluster}}, ""},
		"a client, with a Ring for other uses":  {besideAnother{client, ring}, ""},
		"what cannot be seen":                   {forwarder{client: func() redis.UniversalClient { return client }}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := New(c.rdb)
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				l.Close()
				return
			}
			if l != nil || !errors.Is(err, ErrUnsupportedClient) || errors.Is(err, ErrOption) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, %v; want ErrUnsupportedClient that says %q", l, err, c.says)
			}
		})
	}
}

func TestNewRefusesAURLForAnAddress(t *testing.T) {
	for addr, says := range map[string]string{
		"redis://localhost:6379":              "redis.ParseURL",
		"rediss://user:password@example:6380": "redis.ParseURL",
		"unix:///run/redis.sock?db=1":         "redis.ParseURL",
		"valkey://localhost":                  "redis.ParseURL",
		"localhost:6379":                      "",
		"[::1]:6379":                          "",
		"/run/redis.sock":                     "",
	} {
		t.Run(addr, func(t *testing.T) {
			one := redis.NewClient(&redis.Options{Addr: addr})
			many := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"localhost:7000", addr}})
			defer one.Close()
			defer many.Close()
			for _, rdb := range []redis.UniversalClient{one, embedsClient{one}, embedsInterface{one}, many, &embedsCluster{many}} {
				l, err := New(rdb)
				if says == "" {
					if err != nil {
						t.Fatalf("%T: %v", rdb, err)
					}
					l.Close()
					continue
				}
				says := says
				if _, ok := rdb.(interface{ ReloadState(context.Context) }); ok {
					says = "redis.ParseClusterURL"
				}
				if l != nil || !errors.Is(err, ErrUnsupportedClient) || !strings.Contains(err.Error(), says) {
					t.Fatalf("%T: %v, %v; want ErrUnsupportedClient that says %q", rdb, l, err, says)
				}
				if strings.Contains(err.Error(), "password") {
					t.Errorf("it tells the password: %v", err)
				}
			}
		})
	}
}
