package core

import (
	"context"
	"io"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// faultyPath delays, loses and repeats operations.
type faultyPath struct {
	stress *stress
	again  *redis.Client
	way    time.Duration // to Redis, at the most
}

func (p faultyPath) DialHook(next redis.DialHook) redis.DialHook { return next }
func (p faultyPath) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook ends a call that has a deadline at that, as a client does that
// heeds it. What was sent is on its way all the same.
func (p faultyPath) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if name := cmd.Name(); name != "evalsha" && name != "eval" || p.stress.calm.Load() {
			return next(ctx, cmd)
		}
		deadline, ok := ctx.Deadline()
		if !ok {
			return p.travel(ctx, cmd, next)
		}
		p.stress.lone.Add(1)
		ctx = context.WithoutCancel(ctx)
		sent := redis.NewCmd(ctx, cmd.Args()...)
		done := make(chan error, 1)
		go func() { done <- p.travel(ctx, sent, next) }()
		select {
		case err := <-done:
			cmd.SetErr(err)
			if err == nil {
				cmd.(interface{ SetVal(any) }).SetVal(sent.Val())
			}
		case <-time.After(time.Until(deadline)):
			cmd.SetErr(context.DeadlineExceeded)
		}
		return cmd.Err()
	}
}

func (p faultyPath) travel(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
	lost := func() error {
		cmd.SetErr(io.ErrUnexpectedEOF)
		return io.ErrUnexpectedEOF
	}
	late := func() {
		time.Sleep(p.stress.upTo(2 * time.Second))
		p.again.Do(context.WithoutCancel(ctx), cmd.Args()...)
	}
	time.Sleep(p.stress.upTo(p.way))
	switch p.stress.below(40) {
	case 0:
		return lost()
	case 1:
		_ = next(ctx, cmd)
		return lost()
	case 2: // lost on this side only: it is still to be done
		go late()
		return lost()
	case 3: // as if the client had repeated it inside, and the first arrived last
		go late()
	case 4:
		time.Sleep(p.stress.upTo(700 * time.Millisecond))
	case 5:
		err := next(ctx, cmd)
		time.Sleep(p.stress.upTo(700 * time.Millisecond))
		return err
	}
	err := next(ctx, cmd)
	time.Sleep(p.stress.upTo(p.way / 2))
	return err
}

// faultyConn cuts and stops subscriptions. What the server has sent is kept for
// as long: its publishing must not wait for the reader.
type faultyConn struct {
	net.Conn
	stress *stress
	socket chan []byte // nil until it is a subscription
	rest   []byte
}

func (c *faultyConn) Write(b []byte) (int, error) {
	if c.socket == nil && strings.Contains(string(b), "\r\nsubscribe\r\n") {
		c.socket = make(chan []byte, 10_000)
		_ = c.Conn.SetReadDeadline(time.Time{})
		go c.receive()
	}
	return c.Conn.Write(b)
}

func (c *faultyConn) receive() {
	defer close(c.socket)
	for {
		b := make([]byte, 4096)
		n, err := c.Conn.Read(b)
		if err != nil {
			return
		}
		c.socket <- b[:n]
	}
}

// SetReadDeadline is for the answers to commands: a subscription has none.
func (c *faultyConn) SetReadDeadline(t time.Time) error {
	if c.socket != nil {
		return nil
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *faultyConn) Read(b []byte) (int, error) {
	if c.socket == nil {
		return c.Conn.Read(b)
	}
	if len(c.rest) == 0 {
		c.rest = <-c.socket
		if c.rest == nil {
			return 0, io.EOF
		}
		if !c.stress.calm.Load() {
			switch c.stress.below(20) {
			case 0:
				c.Conn.Close() // and what came is lost
				return 0, io.EOF
			case 1:
				time.Sleep(c.stress.upTo(2 * time.Second))
			default:
				time.Sleep(c.stress.upTo(time.Millisecond))
			}
		}
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
