package faultproxy

import (
	"bytes"
	"sync/atomic"
	"time"
)

// drop is one call of DropReplies.
type drop struct {
	match   func([]byte) bool
	left    int // to be matched; guarded by Proxy.mu
	dropped atomic.Int64
}

// Contains returns a predicate for requests, or for what a connection has
// sent, that contain text, upper and lower case alike.
func Contains(text string) func(request []byte) bool {
	lower := bytes.ToLower([]byte(text))
	return func(request []byte) bool { return bytes.Contains(bytes.ToLower(request), lower) }
}

// DropReplies loses the replies to the next n requests that match likes: the
// request is forwarded, its reply is read, so that it has been carried out, and
// then the connection is closed instead. Replies before it are delivered, those
// after it are lost with it. On a connection that has subscribed, the first
// thing that arrives after the request counts as its reply.
//
// match gets one request as it is on the wire; it must not keep or change it, or
// call the proxy. nil likes all. n < 0 is without end, until Heal. The function returned tells
// how many replies were dropped so far; a connection that ends before its reply
// arrives uses up one of n and is not counted.
func (p *Proxy) DropReplies(n int, match func(request []byte) bool) (dropped func() int) {
	if match == nil {
		match = func([]byte) bool { return true }
	}
	d := &drop{match: match, left: n}
	if n != 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.drops = append(p.drops, d)
	}
	return func() int { return int(d.dropped.Load()) }
}

// DelayReplies delivers everything that the server sends d later than it came,
// from now on; zero ends the delay.
func (p *Proxy) DelayReplies(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Stall stops all traffic in both directions while connections stay open, and
// accepts new ones, as a half-open network does. Nothing is lost: what was on
// its way is delivered, late, after Resume.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled == nil {
		p.stalled = make(chan struct{})
	}
}

// Resume ends Stall.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resume()
}

func (p *Proxy) resume() {
	if p.stalled != nil {
		close(p.stalled)
		p.stalled = nil
	}
}

// SilenceOpen has the connections that are open move nothing any more, in either
// direction, without an end that either side could see, as when a firewall or an
// address translator has forgotten them. New ones flow. It returns how many there
// were. Resume and Heal do not bring them back.
func (p *Proxy) SilenceOpen() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.silenced.Store(true)
	}
	return len(p.links)
}

// Retarget has new connections lead to another server; open ones stay where they
// are.
func (p *Proxy) Retarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Block resets new connections as soon as they are accepted; open ones go on.
func (p *Proxy) Block() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = true
}

// Unblock ends Block.
func (p *Proxy) Unblock() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = false
}

// CutAll resets every open connection, whatever it is doing, and returns how
// many there were.
func (p *Proxy) CutAll() int {
	return p.cut(func(*link) bool { return true })
}

// CutMatching resets the open connections on which the client has sent a
// request that match likes, and returns how many there were. It goes by the
// first 64 requests of each connection and by the last 64.
func (p *Proxy) CutMatching(match func(sent []byte) bool) int {
	return p.cut(func(l *link) bool { return l.sentMatching(match) })
}

func (p *Proxy) cut(which func(*link) bool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for l := range p.links {
		if which(l) {
			l.reset()
			n++
		}
	}
	return n
}

// Heal ends every fault: replies are no more dropped or delayed, traffic and
// new connections flow.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drops, p.delay, p.refuse = nil, 0, false
	p.resume()
}
