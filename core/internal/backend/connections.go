package backend

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/panics"
)

// errDead is the error of a connection that was closed here because it was silent
// while Redis answered on a new one, or because it led to a server that is no
// primary any more.
var errDead = errors.New("redis: the connection was dead, while a new one is answered")

// connections are those that a client of the locks' own has open. A client closes
// a connection when it has waited for an answer for as long as its ReadTimeout is,
// and then it tries the next one, which may be as dead. Here they are closed at
// once, all that are older than a new one that is answered.
//
// A dial that fails gives a connection whose first write does: a pool that has
// seen as many failed dials as it has places dials but once a second, for all that
// a new connection would do.
type connections struct {
	connect dialer
	log     *panics.Log
	round   atomic.Uint64 // of the search for silent ones
	closed  atomic.Bool
	// bypassed is set if the client may have others: those of the nodes of a cluster
	// that the caller's NewClient makes, or has made before.
	bypassed bool

	mu   sync.Mutex
	open map[*conn]struct{}
}

// conn is one of them, also while it is being dialled.
type conn struct {
	net.Conn // nil while it is being dialled
	of       *connections
	addr     string
	begun    time.Time
	cancel   context.CancelFunc // of the dial
	heard    atomic.Uint64      // the round in which it has last delivered something
	dead     atomic.Bool
}

func newConnections(connect dialer, log *panics.Log) *connections {
	return &connections{connect: connect, log: log, open: make(map[*conn]struct{})}
}

// dial is the client's Dialer.
func (k *connections) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &conn{of: k, addr: addr, begun: time.Now(), cancel: cancel}
	k.mu.Lock()
	k.open[c] = struct{}{}
	k.mu.Unlock()
	if k.closed.Load() {
		cancel()
	}
	nc, err := k.connectIn(ctx, network, addr)
	c.heard.Store(k.round.Load())
	k.mu.Lock()
	if err == nil {
		c.Conn = nc
	}
	dead := c.dead.Load()
	k.mu.Unlock()
	if err == nil && !dead {
		return c, nil
	}
	k.forget(c)
	if err == nil {
		_ = nc.Close()
	}
	if dead {
		err = errDead
	}
	return failedConn{&dialError{err}}, nil
}

var errNoDial = errors.New("redis: the Dialer of the client's options has returned no connection and no error, or not at all")

// connectIn connects in a goroutine of its own: not every Dialer ends with its
// context, as that of a client with TLS does not.
func (k *connections) connectIn(ctx context.Context, network, addr string) (net.Conn, error) {
	type dialled struct {
		nc  net.Conn
		err error
	}
	done := make(chan dialled, 1)
	go func() {
		d := dialled{err: errNoDial} // should it end the goroutine
		defer func() { done <- d }()
		defer k.log.Contain("Dialer of the Redis client's options", &d.err)
		nc, err := k.connect(ctx, network, addr)
		if err == nil && nc == nil {
			err = errNoDial
		}
		d.nc, d.err = nc, err
	}()
	select {
	case d := <-done:
		return d.nc, d.err
	case <-ctx.Done():
		go func() {
			if d := <-done; d.err == nil { // nc may be a nil pointer beside an error
				_ = d.nc.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

func (k *connections) forget(c *conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.open, c)
}

// search begins a search for connections that are silent, and returns its number.
func (k *connections) search() uint64 { return k.round.Add(1) }

// closeSilent closes those to addr that have delivered nothing since the search
// began, at that time.
func (k *connections) closeSilent(addr string, round uint64, began time.Time) {
	k.closeThose(func(c *conn) bool { return c.addr == addr && c.begun.Before(began) && c.heard.Load() < round })
}

// closeOlder closes those to addr that were there before t.
func (k *connections) closeOlder(addr string, t time.Time) {
	k.closeThose(func(c *conn) bool { return c.addr == addr && c.begun.Before(t) })
}

func (k *connections) closeThose(those func(*conn) bool) {
	var found []*conn
	k.mu.Lock()
	for c := range k.open {
		if those(c) {
			c.dead.Store(true)
			if c.Conn == nil {
				c.cancel()
			} else {
				found = append(found, c)
			}
		}
	}
	k.mu.Unlock()
	for _, c := range found {
		_ = c.Close()
	}
}

// stop ends the dials that are under way, and those to come.
func (k *connections) stop() {
	k.closed.Store(true)
	k.mu.Lock()
	defer k.mu.Unlock()
	for c := range k.open {
		if c.Conn == nil {
			c.cancel()
		}
	}
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(c.of.round.Load())
	}
	return n, c.fault(err)
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.fault(err)
}

// fault is what an error of the connection came from.
func (c *conn) fault(err error) error {
	if err != nil && c.dead.Load() {
		return errDead
	}
	return err
}

func (c *conn) Close() error {
	c.of.forget(c)
	return c.Conn.Close()
}

// SyscallConn is asked for by the pool, which looks at the socket before it uses
// the connection again.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if c.dead.Load() {
		return nil, errDead
	}
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return noSocket{}, nil
}

// noSocket is the socket of a connection that has none of its own, such as one by
// TLS: nothing is to be seen there.
type noSocket struct{}

func (noSocket) Control(func(uintptr)) error    { return nil }
func (noSocket) Read(func(uintptr) bool) error  { return nil }
func (noSocket) Write(func(uintptr) bool) error { return nil }

// dialError is the error of a dial. The client takes one wrapping off the error of a
// connection that could not be begun, and the next would be the dial's own.
type dialError struct{ error }

func (e *dialError) Unwrap() error { return e.error }

// failedConn is a connection that could not be made.
type failedConn struct{ err error }

func (f failedConn) Read([]byte) (int, error)       { return 0, f.err }
func (f failedConn) Write([]byte) (int, error)      { return 0, f.err }
func (failedConn) Close() error                     { return nil }
func (failedConn) LocalAddr() net.Addr              { return noAddr{} }
func (failedConn) RemoteAddr() net.Addr             { return noAddr{} }
func (failedConn) SetDeadline(time.Time) error      { return nil }
func (failedConn) SetReadDeadline(time.Time) error  { return nil }
func (failedConn) SetWriteDeadline(time.Time) error { return nil }

type noAddr struct{}

func (noAddr) Network() string { return "none" }
func (noAddr) String() string  { return "none" }
