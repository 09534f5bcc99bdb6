package sim

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"time"
)

// conn is a connection of a process. Once it is a subscription, what the server
// sends stays in its socket for a while, or is lost with it.
type conn struct {
	net.Conn
	way    *hook
	random *rand.Rand
	socket chan message // nil until it is a subscription
	rest   []byte
}

// message is something that has arrived.
type message struct {
	bytes []byte
	at    time.Time
}

func (y *hook) dial() (net.Conn, error) {
	if y.isDown() {
		return nil, syscall.ECONNREFUSED
	}
	inner, err := y.redis.Dial()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, way: y, random: y.world.random("conn", y.process<<32|y.conns.Add(1))}
	y.mu.Lock()
	y.open[c] = struct{}{}
	y.mu.Unlock()
	return c, nil
}

func (c *conn) Close() error {
	c.way.mu.Lock()
	delete(c.way.open, c)
	c.way.mu.Unlock()
	return c.Conn.Close()
}

func (c *conn) Write(b []byte) (int, error) {
	if c.socket == nil && bytes.Contains(b, []byte("\r\nsubscribe\r\n")) {
		c.socket = make(chan message, 1000)
		_ = c.Conn.SetReadDeadline(time.Time{})
		go c.receive()
	}
	return c.Conn.Write(b)
}

// receive is the socket: the server must not wait for the process.
func (c *conn) receive() {
	defer close(c.socket)
	for {
		b := make([]byte, 4096)
		n, err := c.Conn.Read(b)
		if err != nil {
			return
		}
		c.socket <- message{b[:n], time.Now()}
	}
}

// SetReadDeadline is for the answers to commands: a subscription has none.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.socket != nil {
		return nil
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *conn) Read(b []byte) (int, error) {
	if c.socket == nil {
		return c.Conn.Read(b)
	}
	if len(c.rest) == 0 {
		m, ok := <-c.socket
		if !ok {
			return 0, io.EOF
		}
		w := c.way.world
		delay := time.Duration(c.random.Int64N(int64(w.plan.delay)))
		if long := time.Duration(c.random.Int64N(int64(3 * w.plan.ttl))); c.random.IntN(100) < w.plan.ears && !w.calm.Load() {
			if c.random.IntN(4) == 0 {
				w.wrong(subscriptionCut)
				_ = c.Conn.Close() // and what has come is lost
				return 0, io.EOF
			}
			w.wrong(messageDelayed)
			delay = long
		}
		time.Sleep(time.Until(m.at.Add(delay)))
		c.way.awaitResume()
		c.rest = m.bytes
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
