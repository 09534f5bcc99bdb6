package grpcmw

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/idgen"
	"github.com/latchkey-go/latchkey/internal/lines"
	"github.com/latchkey-go/latchkey/internal/retry"
)

const (
	// overtaking is how long the attempt that is repeated may need to get here if it was
	// sent together with the further one: a new connection keeps both back.
	overtaking = 50 * time.Millisecond
	// onTheWay is how long an answer may need to its client, and the client's
	// cancellation of further attempts to this process.
	onTheWay = time.Second
	// maxAside is how many further attempts of a method are kept aside. One more gets in
	// line like any other call.
	maxAside = 50
	// maxQuiet is how many origins without calls are remembered for onTheWay.
	maxQuiet = 10000
)

// origins are the calls of a method that are in line, run, or were answered a moment
// ago, by their origin. A client that hedges sends a call again while the first
// attempt runs, takes the first answer and cancels the rest. Which call a further
// attempt repeats, nothing tells for sure. So it is never denied, but stays out of the
// line while calls of its origin that came before it are there, and for a moment after
// one is answered, in which its client cancels it. What is not cancelled gets in line.
type origins struct {
	mu    sync.Mutex
	of    map[origin]*originCalls
	quiet []origin // without calls, in the order in which they became so
	aside int      // further attempts that wait
}

// origin is where attempts of one call come from: they have the key and the request ID
// in common. Without an ID, they are taken to come over one connection.
type origin struct {
	key, requestID string
	conn           lines.Conn
}

func originOf(ctx context.Context, key string) origin {
	if ids := metadata.ValueFromIncomingContext(ctx, RequestIDKey); len(ids) == 1 && idgen.ValidRequestID(ids[0]) {
		return origin{key: key, requestID: ids[0]}
	}
	return origin{key: key, conn: connOf(ctx)}
}

func (o origin) known() bool { return o.requestID != "" || o.conn != (lines.Conn{}) }

// originCalls are the calls of one origin.
type originCalls struct {
	under    []*attempt
	answered time.Time // when the last of them was
	quiet    bool      // listed in origins.quiet
}

// attempt is a call in line or running.
type attempt struct {
	ended chan struct{} // nil until somebody waits for it
}

// run runs fn under the lock on key.
func (c *call) run(ctx context.Context, key string, fn func(context.Context) error) error {
	of := originOf(ctx, key)
	if c.terms.shadow || !of.known() {
		return c.runLocked(ctx, key, fn)
	}
	further := previousAttempts(ctx) != "0"
	if further {
		if err := c.origins.await(ctx, of); err != nil {
			return err
		}
	}
	own := c.origins.enter(of)
	answered := false
	defer func() { c.origins.leave(of, own, answered) }()
	seen := func(ctx context.Context) error {
		defer func() { answered = c.ctx.Err() == nil }()
		return fn(ctx)
	}
	if further && of.requestID == c.requestID { // which is in the lease
		return c.runFurther(ctx, key, seen)
	}
	return c.runLocked(ctx, key, seen)
}

// runFurther is runLocked for a further attempt, another of which may run in another
// process: then the lease has their request ID.
func (c *call) runFurther(ctx context.Context, key string, fn func(context.Context) error) error {
	err := c.runLocked(ctx, key, func(ctx context.Context) error {
		lock, _ := core.FromContext(ctx)
		if info := lock.Info(); c.isOwn(info.Blocker) || c.isOwn(info.Predecessor) {
			return errAnother // which has just ended
		}
		return fn(ctx)
	})
	// The client must not hear of a denial now: that may end the attempt that runs.
	for denied := c.deniedByOwn(err); denied || err == errAnother; {
		if retry.Sleep(ctx, onTheWay) != nil {
			return core.Ended(ctx, ctx.Err())
		}
		if !denied {
			return c.runLocked(ctx, key, fn)
		}
		// It asks seldom: having the lock, it would be in the way of the client's next call.
		err = c.runLocked(ctx, key, func(context.Context) error { return errAnother }, core.Wait(0))
		denied = c.deniedByOwn(err)
	}
	return err
}

var errAnother = errors.New("grpcmw: another attempt of the call has had the lock")

// deniedByOwn reports whether the lock was denied because another attempt of the
// call holds it.
func (c *call) deniedByOwn(err error) bool {
	d, ok := err.(*core.Denial)
	return ok && c.isOwn(d.Holder)
}

// isOwn reports whether the holder is another attempt of the call.
func (c *call) isOwn(h *core.Holder) bool { return h != nil && h.RequestID == c.requestID }

// await waits until the calls of that origin which are there have ended.
func (a *origins) await(ctx context.Context, of origin) error {
	if retry.Sleep(ctx, overtaking) != nil {
		return core.Ended(ctx, ctx.Err())
	}
	a.mu.Lock()
	calls := a.of[of]
	if calls == nil || a.aside == maxAside {
		a.mu.Unlock()
		return nil
	}
	a.aside++
	var before []chan struct{}
	for _, c := range calls.under {
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
	left := time.Until(calls.answered.Add(onTheWay))
	a.mu.Unlock()
	if left > 0 && retry.Sleep(ctx, left) != nil {
		return core.Ended(ctx, ctx.Err())
	}
	return nil
}

func (a *origins) enter(of origin) *attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget(time.Now())
	calls := a.of[of]
	if calls == nil {
		if a.of == nil {
			a.of = make(map[origin]*originCalls)
		}
		calls = new(originCalls)
		a.of[of] = calls
	}
	own := new(attempt)
	calls.under = append(calls.under, own)
	return own
}

func (a *origins) leave(of origin, own *attempt, answered bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := a.of[of]
	for i, c := range calls.under {
		if c == own {
			last := len(calls.under) - 1
			calls.under[i], calls.under[last] = calls.under[last], nil
			calls.under = calls.under[:last]
			break
		}
	}
	if own.ended != nil {
		close(own.ended)
	}
	now := time.Now()
	if answered {
		calls.answered = now
	}
	if len(calls.under) == 0 && !calls.quiet {
		calls.quiet = true
		a.quiet = append(a.quiet, of)
	}
	a.forget(now)
}

// forget removes origins without calls whose last answer is old, and the oldest if
// there are too many. The caller holds mu.
func (a *origins) forget(now time.Time) {
	for len(a.quiet) > 0 {
		calls := a.of[a.quiet[0]]
		if len(calls.under) == 0 {
			if len(a.quiet) <= maxQuiet && now.Sub(calls.answered) <= onTheWay {
				return
			}
			delete(a.of, a.quiet[0])
		}
		calls.quiet = false
		a.quiet[0] = origin{}
		a.quiet = a.quiet[1:]
	}
}
