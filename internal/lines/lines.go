// Package lines bounds how many requests of one connection wait in line for locks.
// An HTTP/2 connection carries so many requests at a time and no more: if all of them
// waited, a request for a free key could not even arrive.
package lines

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/core"
)

// grace is how long requests beyond the bound are given to get their locks. Asking
// for a free one takes a moment as well, and a burst of requests for free keys is not
// a line.
const grace = 10 * time.Millisecond

// Lines are the requests that ask for locks, by their connections. It is safe for
// concurrent use. A nil one bounds nothing.
type Lines struct {
	max int

	mu    sync.Mutex
	conns map[Conn]*conn // with requests
}

// New returns Lines of which at most max requests of a connection wait; 0 is no bound.
func New(max int) *Lines {
	if max <= 0 {
		return nil
	}
	return &Lines{max: max, conns: make(map[Conn]*conn)}
}

// Conn identifies a connection. The zero one is that of a request without.
type Conn struct{ local, remote any }

// ConnOf returns the connection between two addresses, nil if unknown.
//
// Those of package net have addresses of their own, so that the pointer tells
// connections apart. The local one is preferred, because behind net/http the other is a
// text, which middleware may have replaced by another client's.
func ConnOf(local, remote net.Addr) Conn {
	switch local.(type) {
	case *net.TCPAddr, *net.UnixAddr:
		return Conn{local: local}
	}
	return Conn{identity(local), identity(remote)}
}

func identity(addr net.Addr) any {
	switch addr.(type) {
	case nil:
		return nil
	case *net.TCPAddr, *net.UnixAddr, *net.UDPAddr:
		return addr
	}
	// The type may not be comparable. A text without a port, such as those of
	// connections in memory, is that of all connections.
	if text := addr.String(); hasPort(text) {
		return addr.Network() + " " + text
	}
	return nil
}

func hasPort(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && port != ""
}

// conn is what the requests of one connection have come to.
type conn struct {
	aside  int // do not ask yet
	asking int // have not got their locks, nor been denied
	seated int // among them, those that may wait for as long as they like
	// crowded is since when all seats are taken; zero again once half of them are free.
	crowded time.Time
}

// place is one request that asks.
type place struct {
	lines *Lines
	key   Conn
	conn  *conn
	place standing
}

type standing uint8

const (
	seated   standing = iota // waits as long as its settings say
	standby                  // beyond the bound: has a moment to get its lock or a seat
	hurried                  // beyond the bound, and others wait for longer: no wait at all
	left                     // has its lock, or is denied
	rejected                 // its moment was over
)

// ErrFull is the cause of a denial for the sake of the connection.
var ErrFull = fmt.Errorf("%w: too many requests of its connection are waiting", core.ErrQueueFull)

// Run is the guard's Run, for a request of a connection. One that would wait beyond
// the bound is denied with core.ReasonQueueFull.
func (l *Lines) Run(ctx context.Context, of Conn, guard *core.Guard, key string, fn func(context.Context) error, opts ...core.AcquireOption) error {
	if l == nil || of == (Conn{}) {
		return guard.Run(ctx, key, fn, opts...)
	}
	p := l.enter(of)
	defer p.leave()
	switch p.place {
	case hurried:
		err := guard.Run(ctx, key, p.running(fn), slices.Concat(opts, []core.AcquireOption{core.Wait(0)})...)
		// Of the lock itself, and none that fn has asked for.
		if d, ok := err.(*core.Denial); ok && d.Reason == core.ReasonHeld && p.leave() {
			return full(d)
		}
		return err
	case standby:
		asking, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		timer := time.AfterFunc(grace, func() {
			if !p.sit() {
				cancel(ErrFull)
			}
		})
		defer timer.Stop()
		err := guard.Run(asking, key, p.running(fn), opts...)
		if d, ok := err.(*core.Denial); p.wasRejected() && (!ok || ctx.Err() == nil) {
			return full(d)
		}
		return err
	}
	return guard.Run(ctx, key, p.running(fn), opts...)
}

// full returns d as that of a full line.
func full(d *core.Denial) *core.Denial {
	of := core.Denial{Cause: ErrFull}
	if d != nil {
		of = *d
		of.Cause = fmt.Errorf("%w: %w", ErrFull, d.Cause)
	}
	of.Reason = core.ReasonQueueFull
	return &of
}

// running returns fn, which runs when the request has its lock. One that was rejected
// at that very moment gives it back.
func (p *place) running(fn func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if !p.leave() {
			return ErrFull
		}
		return fn(ctx)
	}
}

// StepAside reports whether one more request of a connection may wait without asking for
// its lock: as many may as may wait in line. If so, it must StepBack.
func (l *Lines) StepAside(of Conn) bool {
	if l == nil || of == (Conn{}) {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.conn(of)
	if c.aside == l.max {
		return false
	}
	c.aside++
	return true
}

// StepBack is for one that has its lock, or is gone.
func (l *Lines) StepBack(of Conn) {
	if l == nil || of == (Conn{}) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.conns[of]
	c.aside--
	l.forget(of, c)
}

// conn returns what is known of a connection. The caller holds mu.
func (l *Lines) conn(of Conn) *conn {
	c := l.conns[of]
	if c == nil {
		c = new(conn)
		l.conns[of] = c
	}
	return c
}

// forget removes a connection without requests. The caller holds mu.
func (l *Lines) forget(of Conn, c *conn) {
	if c.asking == 0 && c.aside == 0 {
		delete(l.conns, of)
	}
}

func (l *Lines) enter(key Conn) *place {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.conn(key)
	c.asking++
	p := &place{lines: l, key: key, conn: c}
	switch {
	case c.seated < l.max:
		p.take()
	case time.Since(c.crowded) < grace:
		p.place = standby
	default:
		p.place = hurried
	}
	return p
}

// take takes a seat. The caller holds mu, and there is one.
func (p *place) take() {
	p.place = seated
	if p.conn.seated++; p.conn.seated == p.lines.max && p.conn.crowded.IsZero() {
		p.conn.crowded = time.Now()
	}
}

// sit takes a seat for one on standby, and rejects it if there is none.
func (p *place) sit() bool {
	p.lines.mu.Lock()
	defer p.lines.mu.Unlock()
	if p.place != standby {
		return true // it has its lock, or its answer
	}
	if p.conn.seated < p.lines.max {
		p.take()
		return true
	}
	p.depart(rejected)
	return false
}

// leave is for when the request has its lock or is denied. It reports whether that is
// news and it was not rejected.
func (p *place) leave() bool {
	p.lines.mu.Lock()
	defer p.lines.mu.Unlock()
	if p.place >= left {
		return false
	}
	p.depart(left)
	return true
}

// depart takes the request out. The caller holds mu.
func (p *place) depart(to standing) {
	c := p.conn
	if p.place == seated {
		if c.seated--; 2*c.seated < p.lines.max {
			c.crowded = time.Time{}
		}
	}
	p.place = to
	c.asking--
	p.lines.forget(p.key, c)
}

func (p *place) wasRejected() bool {
	p.lines.mu.Lock()
	defer p.lines.mu.Unlock()
	return p.place == rejected
}
