package faultproxy

import (
	"bufio"
	"bytes"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// remembered is how many of a connection's first and of its last requests
// CutMatching can go by: what kind of connection it is shows at its beginning.
const remembered = 64

// link is one connection from a client, and the one to the server for it.
type link struct {
	client   *net.TCPConn
	done     chan struct{} // closed by close
	silenced atomic.Bool   // for good

	mu          sync.Mutex
	closed      bool
	server      *net.TCPConn
	first, last [][]byte
	sent        int   // requests forwarded
	answered    int   // replies seen
	subscribed  bool  // replies are not one to a request any more
	doomed      *drop // whose reply ends the connection, nil for none
	doomedAt    int   // the request it is the reply to, counted by sent
}

func newLink(client *net.TCPConn) *link {
	return &link{client: client, done: make(chan struct{})}
}

// connect adds the server's side. It returns false if l was closed meanwhile.
func (l *link) connect(server *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = server.Close()
		return false
	}
	l.server = server
	return true
}

func (l *link) open() bool {
	select {
	case <-l.done:
		return false
	default:
		return true
	}
}

// close ends both sides in good order; the client reads EOF.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	close(l.done)
	_ = l.client.Close()
	if l.server != nil {
		_ = l.server.Close()
	}
}

// reset ends both sides with a TCP reset, in place of good order.
func (l *link) reset() {
	l.mu.Lock()
	if !l.closed {
		_ = l.client.SetLinger(0)
		if l.server != nil {
			_ = l.server.SetLinger(0)
		}
	}
	l.mu.Unlock()
	l.close()
}

// forwardRequests returns when the client's side has ended or l is closed.
func (p *Proxy) forwardRequests(l *link) {
	in := bufio.NewReader(l.client)
	for {
		request, err := readFrame(in)
		if err != nil || !p.flow(l) {
			return
		}
		p.note(l, request)
		if _, err := l.server.Write(request); err != nil {
			return
		}
	}
}

// forwardReplies returns when the server's side has ended or l is closed.
func (p *Proxy) forwardReplies(l *link) {
	in := bufio.NewReader(l.server)
	for {
		// What is in the buffer came together with what was delayed last.
		burst := in.Buffered() > 0
		reply, err := readFrame(in)
		if err != nil || !p.flow(l) {
			return
		}
		if l.swallow(reply) {
			return
		}
		if !burst && !p.hold(l) {
			return
		}
		if !p.flow(l) { // it may have been stalled while the reply was held
			return
		}
		if _, err := l.client.Write(reply); err != nil {
			return
		}
	}
}

// note records a request that is about to be forwarded, and dooms the
// connection if its reply is to be dropped.
func (p *Proxy) note(l *link, request []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	if len(l.first) < remembered {
		l.first = append(l.first, request)
	} else {
		l.last = append(l.last, request)
		l.last = l.last[max(0, len(l.last)-remembered):]
	}
	if subscribes(request) {
		l.subscribed = true
	}
	if l.doomed != nil {
		return
	}
	for i, d := range p.drops {
		if !d.match(request) {
			continue
		}
		l.doomed, l.doomedAt = d, l.sent
		if d.left--; d.left == 0 {
			p.drops = slices.Delete(p.drops, i, i+1)
		}
		return
	}
}

// swallow tells whether reply is the one to be dropped. It has then been
// counted, and the caller ends the connection.
func (l *link) swallow(reply []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if reply[0] != pushType {
		l.answered++
	}
	if l.doomed == nil {
		return false
	}
	if !l.subscribed && (reply[0] == pushType || l.answered < l.doomedAt) {
		return false
	}
	l.doomed.dropped.Add(1)
	return true
}

// hold waits for as long as replies are delayed, and returns false if l was
// closed meanwhile.
func (p *Proxy) hold(l *link) bool {
	p.mu.Lock()
	d := p.delay
	p.mu.Unlock()
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.done:
		return false
	}
}

// sentMatching tells whether the client has sent a request that match likes.
func (l *link) sentMatching(match func([]byte) bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.first, match) || slices.ContainsFunc(l.last, match)
}

// subscribes tells whether a request is one of SUBSCRIBE, PSUBSCRIBE,
// SSUBSCRIBE and their opposites: all of them are answered by a push for each
// channel, and among messages.
func subscribes(request []byte) bool {
	const nameWithin = 32 // "*2\r\n$12\r\nPUNSUBSCRIBE"
	head := request[:min(len(request), nameWithin)]
	return bytes.Contains(bytes.ToUpper(head), []byte("SUBSCRIBE\r\n"))
}
