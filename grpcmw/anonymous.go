package grpcmw

import (
	"context"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/internal/lines"
	"github.com/latchkey-go/latchkey/internal/retry"
)

const (
	// overtaking is how long the attempt that is repeated may need to get here if it was
	// sent together with the further one: a new connection keeps both back.
	overtaking = 50 * time.Millisecond
	// maxAttemptsAside is how many further attempts of a method are kept aside. One
	// more gets in line like any other call.
	maxAttemptsAside = 50
)

// anonymous are the calls of a method without a request ID. A further attempt cannot
// be told from that of another call then. So it stays out of the line while calls with
// its key that came before it over its connection are in line or run: the one that it
// repeats may be among them, and its client cancels it when that one is answered. What
// is not cancelled gets in line.
type anonymous struct {
	mu    sync.Mutex
	calls map[callPlace]*placeCalls
	quiet []callPlace // with no calls, in the order in which they became so
	aside int         // further attempts that wait
}

type callPlace struct {
	key  string
	conn lines.Conn
}

// placeCalls are those with one key over one connection.
type placeCalls struct {
	under    []*anonymousCall // in line or running
	answered time.Time        // when the last of them was
	quiet    bool             // listed in anonymous.quiet
}

type anonymousCall struct {
	ended chan struct{} // nil until somebody waits for it
}

// run runs fn under the lock on the call's key.
func (a *anonymous) run(ctx context.Context, c *call, key string, fn func(context.Context) error) error {
	at := callPlace{key, connOf(ctx)}
	if at.conn == (lines.Conn{}) {
		return c.runLocked(ctx, key, fn)
	}
	if previousAttempts(ctx) != "0" {
		if err := a.await(ctx, at); err != nil {
			return err
		}
	}
	own := a.enter(at)
	answered := false
	defer func() { a.leave(at, own, answered) }()
	return c.runLocked(ctx, key, func(ctx context.Context) error {
		defer func() { answered = c.ctx.Err() == nil }()
		return fn(ctx)
	})
}

// await waits until the calls that are there now have ended.
func (a *anonymous) await(ctx context.Context, at callPlace) error {
	if retry.Sleep(ctx, overtaking) != nil {
		return core.Ended(ctx, ctx.Err())
	}
	a.mu.Lock()
	p := a.calls[at]
	if p == nil || a.aside == maxAttemptsAside {
		a.mu.Unlock()
		return nil
	}
	a.aside++
	var before []chan struct{}
	for _, c := range p.under {
		if c.ended == nil {
			c.ended = make(chan struct{})
		}
		before = append(before, c.ended)
	}
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.aside--
	}()
	for _, ended := range before {
		select {
		case <-ended:
		case <-ctx.Done():
			return core.Ended(ctx, ctx.Err())
		}
	}
	a.mu.Lock()
	left := time.Until(p.answered.Add(onTheWay))
	a.mu.Unlock()
	if left > 0 && retry.Sleep(ctx, left) != nil {
		return core.Ended(ctx, ctx.Err())
	}
	return nil
}

func (a *anonymous) enter(at callPlace) *anonymousCall {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget(time.Now())
	p := a.calls[at]
	if p == nil {
		if a.calls == nil {
			a.calls = make(map[callPlace]*placeCalls)
		}
		p = new(placeCalls)
		a.calls[at] = p
	}
	own := new(anonymousCall)
	p.under = append(p.under, own)
	return own
}

func (a *anonymous) leave(at callPlace, own *anonymousCall, answered bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.calls[at]
	for i, c := range p.under {
		if c == own {
			last := len(p.under) - 1
			p.under[i], p.under[last] = p.under[last], nil
			p.under = p.under[:last]
			break
		}
	}
	if own.ended != nil {
		close(own.ended)
	}
	now := time.Now()
	if answered {
		p.answered = now
	}
	if len(p.under) == 0 && !p.quiet {
		p.quiet = true
		a.quiet = append(a.quiet, at)
	}
	a.forget(now)
}

// forget removes places without calls: all whose last answer is old, and the oldest if
// there are too many. The caller holds mu.
func (a *anonymous) forget(now time.Time) {
	for len(a.quiet) > 0 {
		p := a.calls[a.quiet[0]]
		if len(p.under) == 0 {
			if len(a.quiet) <= maxRemembered && now.Sub(p.answered) <= onTheWay {
				return
			}
			delete(a.calls, a.quiet[0])
		}
		p.quiet = false
		a.quiet[0] = callPlace{}
		a.quiet = a.quiet[1:]
	}
}
