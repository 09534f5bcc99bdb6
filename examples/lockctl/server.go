package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// server says which Redis, and as whom.
type server struct {
	redis             string // host:port or URL
	cluster, sentinel []string
	master            string
	user, password    string
}

// reachTimeout is for a connection: somebody is waiting.
const reachTimeout = 2 * time.Second

// connect returns a client. It does not talk to Redis.
func (s server) connect() (redis.UniversalClient, error) {
	switch {
	case len(s.cluster) > 0:
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: s.cluster, Username: s.user, Password: s.password,
			DialTimeout: reachTimeout, ContextTimeoutEnabled: true,
		}), nil
	case len(s.sentinel) > 0:
		return redis.NewFailoverClient(&redis.FailoverOptions{
			SentinelAddrs: s.sentinel, MasterName: s.master, Username: s.user, Password: s.password,
			DialTimeout: reachTimeout, ContextTimeoutEnabled: true,
		}), nil
	}
	o := &redis.Options{Addr: s.redis}
	if strings.Contains(s.redis, "://") {
		var err error
		if o, err = redis.ParseURL(s.redis); err != nil {
			return nil, fmt.Errorf("-redis: %w", withoutSecret(err, s.redis))
		}
	} else if _, _, err := net.SplitHostPort(s.redis); err != nil {
		return nil, errors.New("-redis is neither host:port nor a redis:// URL") // and may have a password
	}
	o.Username, o.Password = cmp.Or(o.Username, s.user), cmp.Or(o.Password, s.password)
	o.DialTimeout, o.ContextTimeoutEnabled = reachTimeout, true
	return redis.NewClient(o), nil
}

// withoutSecret is why a URL is wrong, without any of it: what net/url takes for a
// port may be a password.
func withoutSecret(err error, text string) error {
	_, malformed := err.(*url.Error)
	if malformed || strings.Contains(err.Error(), text) {
		return errors.New("not a valid URL (in a password, all but letters and digits is written as %XX)")
	}
	return err
}

// String names the server for people.
func (s server) String() string {
	switch {
	case len(s.cluster) > 0:
		return "the cluster of " + strings.Join(s.cluster, ", ")
	case len(s.sentinel) > 0:
		return fmt.Sprintf("the master %q of the Sentinels %s", s.master, strings.Join(s.sentinel, ", "))
	}
	if u, err := url.Parse(s.redis); err == nil && strings.Contains(s.redis, "://") {
		return cmp.Or(u.Host, u.Path)
	}
	return s.redis
}

// flag is the one that chose it.
func (s server) flag() string {
	switch {
	case len(s.cluster) > 0:
		return "-cluster"
	case len(s.sentinel) > 0:
		return "-sentinel and -master"
	}
	return "-redis"
}
