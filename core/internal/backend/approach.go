package backend

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/panics"
)

const (
	// slowApproach is how long the first answer may take before it is looked into
	// who answers there.
	slowApproach = time.Second
	// knockTimeout bounds each step of that.
	knockTimeout = time.Second
)

// approach is how a client gets to its servers, as far as it tells: what can be
// wrong before a server looks at a command.
type approach struct {
	user      string
	db        int
	network   string
	addrs     []string // empty if the client does not tell
	secure    bool     // it talks TLS
	tls       *tls.Config
	log       *panics.Log
	sentinels bool // it asks Sentinels for the address
	dial      func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (be *Backend) approachOf(rdb redis.UniversalClient) approach {
	a := approach{log: &be.panics, user: user(rdb), network: "tcp", dial: (&net.Dialer{Timeout: knockTimeout}).DialContext}
	switch c := rdb.(type) {
	case interface{ Options() *redis.Options }:
		o := c.Options()
		a.db, a.network, a.addrs, a.tls = o.DB, o.Network, []string{o.Addr}, o.TLSConfig
		a.secure = a.tls != nil
		a.sentinels = o.Addr == sentinelsMaster
		if a.sentinels && a.secure {
			a.addrs = nil // its dialer alone knows the address, and talks TLS
		}
		if !a.secure && o.Dialer != nil {
			a.dial = o.Dialer
		}
	case clusterClient:
		o := c.Options()
		a.addrs, a.tls = o.Addrs, o.TLSConfig
		a.secure = a.tls != nil
		if !a.secure && o.Dialer != nil {
			a.dial = o.Dialer
		}
	}
	if !a.secure && be.conns != nil {
		a.dial = be.conns.connectIn // which tells what has gone wrong
	}
	return a
}

// first has the client ask for the first time, and looks into who is there if
// there is no answer, or none soon: go-redis says only that a connection was closed,
// or nothing at all, if one side talks TLS and the other does not, or if the server
// has refused the connection before it read anything. What it returns is the fault if
// that is known, and otherwise ask's error.
func (a approach) first(ctx context.Context, ask func() error) (*Fault, error) {
	answered := make(chan error, 1)
	go func() {
		var err error
		defer func() { answered <- err }()
		defer a.log.Contain(clientHook, &err)
		err = ask()
	}()
	slow := time.NewTimer(slowApproach)
	defer slow.Stop()
	select {
	case err := <-answered:
		if err == nil || isServerReply(err) || ctx.Err() != nil {
			return nil, err
		}
		return a.knock(ctx), err
	case <-slow.C:
		if f := a.knock(ctx); f != nil {
			return f, nil
		}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case err := <-answered:
		return nil, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// knock finds out who answers at the first address, and returns what is wrong with
// that, nil if that is not known.
func (a approach) knock(ctx context.Context) *Fault {
	if len(a.addrs) == 0 {
		return nil
	}
	greeting, err := a.hear(ctx)
	switch {
	case err != nil:
		return nil // nobody, which the client says, too
	case a.secure && (greeting == "" || greeting[0] == 0x15):
		return a.alert(ctx)
	case greeting == "" && a.talksTLS(ctx), greeting != "" && greeting[0] == 0x15: // an alert, RFC 8446
		return &Fault{
			Kind:    FaultTLS,
			Problem: "it talks TLS, and the client does not",
			Effect:  noLock,
			Remedy:  "set TLSConfig in the client's options (a rediss:// URL does), or give it the server's port without TLS",
		}
	case greeting == "":
		return nil
	}
	switch greeting[0] {
	case '+', '-', '$', ':', '*':
		if a.secure {
			return &Fault{
				Kind:    FaultTLS,
				Problem: "the client talks TLS, and it does not",
				Effect:  noLock,
				Remedy:  "give the client the server's TLS port (its tls-port), or leave TLSConfig out of the client's options",
			}
		}
		if greeting[0] != '-' {
			return nil
		}
		// That the connection has no user says nothing of one that has.
		if err := replyError(greeting[1:]); redis.HasErrorPrefix(err, "DENIED") {
			f := a.fault(err)
			return &f
		} else if redis.HasErrorPrefix(err, maxClients) {
			f := away(err)
			return &f
		}
		return nil
	}
	return &Fault{
		Kind:    FaultAddress,
		Problem: "what answers at the client's address is no Redis: it says " + strconv.Quote(greeting),
		Effect:  noLock,
		Remedy:  "give the client the host and port of the Redis",
	}
}

// replyError is an error that a server has answered.
type replyError string

func (e replyError) Error() string { return string(e) }
func (replyError) RedisError()     {}

// hear returns the beginning of what is answered to a PING without TLS, "" if the
// connection is closed before, or there is no answer in time.
func (a approach) hear(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, knockTimeout)
	defer cancel()
	conn, err := a.dial(ctx, a.network, a.addrs[0])
	if err != nil {
		return "", err
	}
	defer conn.Close()
	end, _ := ctx.Deadline()
	_ = conn.SetDeadline(end)
	_, _ = conn.Write([]byte("PING\r\n"))
	buf := make([]byte, 100)
	n, _ := conn.Read(buf)
	for i, c := range buf[:n] {
		if c == '\r' || c == '\n' {
			n = i
			break
		}
	}
	return string(buf[:n]), nil
}

// talksTLS reports whether the server answers the beginning of TLS.
func (a approach) talksTLS(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, knockTimeout)
	defer cancel()
	conn, err := a.dial(ctx, a.network, a.addrs[0])
	if err != nil {
		return false
	}
	defer conn.Close()
	// Nothing is sent over it, so that it does not matter who it is.
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx)
	return err == nil || saidByTLS(err)
}

// alert returns what TLS has against the client, nil if that is not known. A server
// that does not take the client's certificate says so after the client's side has
// ended the handshake, and who writes meanwhile may find the connection reset and
// not see it: so nothing is written here.
func (a approach) alert(ctx context.Context) *Fault {
	ctx, cancel := context.WithTimeout(ctx, knockTimeout)
	defer cancel()
	conn, err := a.dial(ctx, a.network, a.addrs[0])
	if err != nil {
		return nil
	}
	defer conn.Close()
	config := a.tls.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(a.addrs[0])
	}
	secure := tls.Client(conn, config)
	if err = secure.HandshakeContext(ctx); err == nil {
		end, _ := ctx.Deadline()
		_ = secure.SetReadDeadline(end)
		_, err = secure.Read(make([]byte, 1))
	}
	if !ofTLS(err) {
		return nil
	}
	f := tlsFault(err)
	return &f
}
