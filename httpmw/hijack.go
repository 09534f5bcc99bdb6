package httpmw

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/core"
)

// HijackPolicy is what becomes of the lock when its handler takes over the
// connection, as for a WebSocket.
type HijackPolicy uint8

const (
	// RefuseHijack fails Hijack with [ErrHijackRefused], so that an upgrade on a
	// locked route fails where its author sees it: the default.
	RefuseHijack HijackPolicy = iota
	// HoldUntilReturn holds the lock until the handler returns, whatever it does
	// with the connection. net/http no longer watches a connection that was
	// taken over: nothing but the handler itself notices that its client has gone.
	HoldUntilReturn
	// Detach gives the lock back when the connection is taken over: the lock is
	// for the upgrade and for what comes before it.
	Detach
)

// ErrHijackRefused is what Hijack fails with on a locked route with
// [RefuseHijack]. It matches [http.ErrNotSupported].
var ErrHijackRefused = fmt.Errorf("httpmw: the route is locked and its lock would be held for as long as the connection is open, or not at all: see OnHijack: %w", http.ErrNotSupported)

// OnHijack chooses what happens when a handler takes over its connection by
// [http.Hijacker] or [http.ResponseController]. The default is [RefuseHijack].
//
// With RefuseHijack, a handler's status 101 is not sent either, since some
// libraries send it before they hijack: the handler may still answer, and if it
// does not, the client gets 501.
//
// With [Detach], Hijack returns once the release is answered, after at most
// 250 ms. From then on the lock in the handler's context is released
// ([core.Lock.Remaining] is zero), and the context itself goes on, until the
// handler returns.
//
// The policy is about taking over, not about long answers: a stream of events,
// and a WebSocket over HTTP/2 (RFC 8441), which is a stream of its request and
// never hijacked, hold the lock until the handler returns, as all requests do.
func OnHijack(p HijackPolicy) Option {
	return option(func(o *options) {
		if o.onHijack = p; p > Detach {
			o.bad("unknown HijackPolicy %d", p)
		}
	})
}

// detachAwait bounds how long Hijack waits for the release to be answered: the
// client's next request should not find its own last one in the way.
const detachAwait = 250 * time.Millisecond

// hijacking is the policy of one response.
type hijacking struct {
	policy HijackPolicy
	// refused: the handler has tried to, or has said that it would.
	refused bool
	// detach gives the lock back; nil if there is none, or it is kept.
	detach func()
}

func (h *hijacking) hijack(next func() (net.Conn, *bufio.ReadWriter, error)) (net.Conn, *bufio.ReadWriter, error) {
	if h.policy == RefuseHijack {
		h.refused = true
		return nil, nil, ErrHijackRefused
	}
	conn, rw, err := next()
	if err == nil && h.detach != nil {
		h.detach()
	}
	return conn, rw, err
}

// answerRefused ends a response whose handler wrote nothing after Hijack was
// refused: net/http would send 200, with headers of an upgrade.
func (t *response) answerRefused() {
	if !t.hijacking.refused || t.written {
		return
	}
	for _, name := range []string{"Connection", "Upgrade", "Sec-Websocket-Accept"} {
		t.Header().Del(name)
	}
	t.WriteHeader(http.StatusNotImplemented)
}

// detachable returns the context for a handler whose lock, in held, may be given
// back while it runs, and the function that does so, nil if there is no lock. What
// happens to the lock before cancels the context; that release does not, and from
// then on only ctx does.
func detachable(ctx, held context.Context) (inner context.Context, detach func(), end context.CancelFunc) {
	lock, ok := core.FromContext(held)
	if !ok {
		return held, nil, func() {}
	}
	inner = context.WithoutCancel(held) // with its values
	endDeadline := context.CancelFunc(func() {})
	if d, ok := ctx.Deadline(); ok {
		inner, endDeadline = context.WithDeadline(inner, d)
	}
	inner, cancel := context.WithCancelCause(inner)
	follow := func(other context.Context) (stop func() bool) {
		return context.AfterFunc(other, func() { cancel(context.Cause(other)) })
	}
	stop := follow(held)
	detach = func() {
		stop()
		stop = follow(ctx)
		await, cancel := context.WithTimeout(ctx, detachAwait)
		defer cancel()
		_ = lock.Release(await) // goes on in the background if it is not answered
	}
	return inner, detach, func() {
		stop()
		cancel(context.Canceled)
		endDeadline()
	}
}
