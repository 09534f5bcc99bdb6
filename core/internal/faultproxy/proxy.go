package faultproxy

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// dialTimeout bounds the connection to the target, which is a local process.
const dialTimeout = 5 * time.Second

// acceptRetry is the pause after a failed accept.
const acceptRetry = 5 * time.Millisecond

// Proxy forwards TCP connections to one Redis server. Its methods are safe for
// concurrent use. It is closed when the test is over.
type Proxy struct {
	listener net.Listener
	ctx      context.Context // ends when the proxy is closed
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex
	target  string
	links   map[*link]struct{}
	refuse  bool
	delay   time.Duration
	drops   []*drop
	stalled chan struct{} // closed on Resume; nil while traffic flows
}

// New starts a proxy to target (host:port). Nothing need listen there yet.
func New(tb testing.TB, target string) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("faultproxy: %v", err)
	}
	p := &Proxy{target: target, listener: l, links: make(map[*link]struct{})}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.running.Go(p.accept)
	tb.Cleanup(p.Close)
	return p
}

// Addr is where clients connect, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Connections returns how many connections are open through the proxy.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Close resets every connection and accepts no more. When it returns, none of
// the proxy's goroutines is left. It may be called again.
func (p *Proxy) Close() {
	p.stop()
	_ = p.listener.Close()
	p.CutAll()
	p.running.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			// Else a connection that was gone again (ECONNABORTED), or a
			// process out of file descriptors.
			select {
			case <-p.ctx.Done():
				return
			case <-time.After(acceptRetry):
				continue
			}
		}
		p.running.Go(func() { p.serve(client.(*net.TCPConn)) })
	}
}

// serve connects client to the target and forwards until either side ends.
func (p *Proxy) serve(client *net.TCPConn) {
	l := newLink(client)
	defer l.close()
	if !p.add(l) {
		l.reset()
		return
	}
	defer p.remove(l)
	if !p.flow(l) {
		return
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	server, err := dialer.DialContext(p.ctx, "tcp", target)
	if err != nil {
		l.reset()
		return
	}
	if !l.connect(server.(*net.TCPConn)) {
		return
	}

	var replies sync.WaitGroup
	replies.Go(func() {
		defer l.close()
		p.forwardReplies(l)
	})
	p.forwardRequests(l)
	l.close()
	replies.Wait()
}

// add returns false if the connection is to be refused.
func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse || p.ctx.Err() != nil {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// flow returns true once traffic flows, false if l was closed before.
func (p *Proxy) flow(l *link) bool {
	for {
		p.mu.Lock()
		stalled := p.stalled
		p.mu.Unlock()
		if l.silenced.Load() {
			<-l.done
			return false
		}
		if stalled == nil {
			return l.open()
		}
		select {
		case <-stalled:
		case <-l.done:
			return false
		}
	}
}
