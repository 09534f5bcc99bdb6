package backend_test

import (
	"context"
	"net"
	"sync"

	"github.com/redis/go-redis/v9"
)

// countDials returns an OnConnect that counts.
func countDials(n *int) func(context.Context, *redis.Conn) error {
	return func(context.Context, *redis.Conn) error {
		*n++
		return nil
	}
}

// reader tells when its connection is about to be read: whoever asked is then
// inside the client until the server answers.
type reader struct {
	net.Conn
	reads chan<- struct{}
}

func (r *reader) Read(p []byte) (int, error) {
	r.reads <- struct{}{}
	return r.Conn.Read(p)
}

// dialReader returns a dialer whose connections tell reads.
func dialReader(reads chan<- struct{}) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &reader{Conn: c, reads: reads}, err
	}
}

// wire is a connection that can be cut in two without either side's knowledge:
// nothing comes any more, and what is written is lost.
type wire struct {
	net.Conn
	dead *blackhole
}

type blackhole struct {
	mu sync.Mutex
	on bool
}

func (b *blackhole) swallows() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.on
}

func (b *blackhole) set(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.on = on
}

func (w *wire) Write(p []byte) (int, error) {
	if w.dead.swallows() {
		return len(p), nil
	}
	return w.Conn.Write(p)
}

// Read swallows what comes in a black hole, and goes on to wait.
func (w *wire) Read(p []byte) (int, error) {
	for {
		n, err := w.Conn.Read(p)
		if err != nil || !w.dead.swallows() {
			return n, err
		}
	}
}
