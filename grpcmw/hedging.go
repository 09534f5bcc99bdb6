package grpcmw

import (
	"context"
	"errors"
	"slices"
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
	// maxAttempts is the most of a call, whatever its policy says (gRFC A6). More with its
	// request ID are other calls.
	maxAttempts = 5
	// maxQuiet is how many origins without calls are remembered for onTheWay.
	maxQuiet = 10000
)

// origins are the calls of a method that are there, or were answered a moment ago, by
// their origin. A client that hedges sends a call again while the first attempt runs,
// takes the first answer and cancels the rest. Which call a further attempt repeats,
// nothing tells for sure. So it is never denied, but stays out of the line while calls
// of its origin that came before it are there, and for a moment after one is answered,
// in which its client cancels it. What is not cancelled gets in line.
type origins struct {
	mu    sync.Mutex
	of    map[origin]*originCalls
	quiet []origin // without calls, in the order in which they became so
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
	there    []*attempt // in the order in which they came
	answered time.Time  // when the last of them was
	quiet    bool       // listed in origins.quiet
}

// attempt is a call that is aside, in line, or running.
type attempt struct {
	further bool
	ended   chan struct{} // nil until somebody waits for it
}

// run runs fn under the lock on key.
func (c *call) run(ctx context.Context, key string, fn func(context.Context) error) error {
	of := originOf(ctx, key)
	if c.terms.shadow || !of.known() {
		return c.runLocked(ctx, key, fn)
	}
	conn := connOf(ctx)
	own := &attempt{further: previousAttempts(ctx) != "0" && c.lines.StepAside(conn)}
	c.origins.enter(of, own)
	ran := false
	defer func() {
		c.origins.leave(of, own, ran)
		if own.further && !ran {
			c.lines.StepBack(conn)
		}
	}()
	handler := func(ctx context.Context) error {
		ran = true
		if own.further {
			c.lines.StepBack(conn)
		}
		return fn(ctx)
	}
	if own.further {
		if err := c.origins.await(ctx, of, own); err != nil {
			return err
		}
		if of.requestID == c.requestID { // which is in the lease
			return c.runFurther(ctx, key, handler)
		}
	}
	return c.runLocked(ctx, key, handler)
}

// runFurther is runLocked for a further attempt, another of which may be in another
// process: then the lease has their request ID. While one runs, or may just have been
// answered, the client must not hear of a denial, which may end the call.
func (c *call) runFurther(ctx context.Context, key string, fn func(context.Context) error) error {
	for round := 1; ; round++ {
		ran := false
		err := c.runLocked(ctx, key, func(ctx context.Context) error {
			lock, _ := core.FromContext(ctx)
			if info := lock.Info(); round < maxAttempts && (c.isOwn(info.Blocker) || c.isOwn(info.Predecessor)) {
				return errAnother // which has just ended
			}
			ran = true
			return fn(ctx)
		})
		if ran || !errors.Is(err, errAnother) && !isContention(err) {
			return err
		}
		for denial := err; !errors.Is(err, errAnother); {
			wasOwn := c.deniedByOwn(err)
			if retry.Sleep(ctx, onTheWay) != nil {
				return core.Ended(ctx, ctx.Err())
			}
			// The denial tells of who held the lock when the wait began, this of who does now.
			// It asks seldom: having the lock, it would be in the way of the client's next call.
			err = c.runLocked(ctx, key, func(context.Context) error { return errAnother }, core.Wait(0))
			switch {
			case errors.Is(err, errAnother), c.deniedByOwn(err):
			case !isContention(err):
				return err
			case !wasOwn: // else it may just have ended
				return denial
			}
		}
		if retry.Sleep(ctx, onTheWay) != nil {
			return core.Ended(ctx, ctx.Err())
		}
	}
}

// deniedByOwn reports whether the lock was denied because another attempt of the call
// holds it.
func (c *call) deniedByOwn(err error) bool {
	d, ok := err.(*core.Denial)
	return ok && c.isOwn(d.Holder)
}

var errAnother = errors.New("grpcmw: another attempt of the call has had the lock")

// isContention reports whether the lock was denied because of other requests.
func isContention(err error) bool {
	d, ok := err.(*core.Denial)
	return ok && (d.Reason == core.ReasonHeld || d.Reason == core.ReasonWaitTimeout || d.Reason == core.ReasonQueueFull)
}

// isOwn reports whether the holder is another attempt of the call.
func (c *call) isOwn(h *core.Holder) bool { return h != nil && h.RequestID == c.requestID }

// await waits until the calls of that origin have ended which own may repeat, or which
// would do so before it.
func (a *origins) await(ctx context.Context, of origin, own *attempt) error {
	if retry.Sleep(ctx, overtaking) != nil {
		return core.Ended(ctx, ctx.Err())
	}
	for _, ended := range a.before(of, own) {
		select {
		case <-ended:
		case <-ctx.Done():
			return core.Ended(ctx, ctx.Err())
		}
	}
	a.mu.Lock()
	left := time.Until(a.of[of].answered.Add(onTheWay))
	a.mu.Unlock()
	if left > 0 && retry.Sleep(ctx, left) != nil {
		return core.Ended(ctx, ctx.Err())
	}
	return nil
}

// before returns the ends of first attempts, which wait for nobody, and of further ones
// that came before own.
func (a *origins) before(of origin, own *attempt) (ended []chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	later := false
	for _, c := range a.of[of].there {
		if c == own {
			later = true
		} else if !c.further || !later {
			if c.ended == nil {
				c.ended = make(chan struct{})
			}
			ended = append(ended, c.ended)
		}
	}
	return ended
}

func (a *origins) enter(of origin, own *attempt) {
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
	calls.there = append(calls.there, own)
}

func (a *origins) leave(of origin, own *attempt, ran bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := a.of[of]
	i := slices.Index(calls.there, own)
	calls.there = slices.Delete(calls.there, i, i+1)
	if own.ended != nil {
		close(own.ended)
	}
	now := time.Now()
	if ran {
		calls.answered = now
	}
	if len(calls.there) == 0 && !calls.quiet {
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
		if len(calls.there) == 0 {
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
