package core

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// releaseAwait bounds how long a guard that does not wait for locks waits for
// its release to be answered.
const releaseAwait = 250 * time.Millisecond

// Guard runs functions under a lock. It is the engine of every transport, and
// public so that a queue consumer or a cron job can be one more of them, with
// the same guarantees. A Guard is safe for concurrent use.
type Guard struct {
	locker  Locker
	options guardOptions
}

type guardOptions struct {
	settings     []AcquireOption
	backendError BackendErrorPolicy
	awaitRelease *bool
	shadow       bool
	report       func(context.Context, *Denial) // of a guard in shadow; nil for none
}

type guardOption func(*guardOptions)

func (o guardOption) applyGuard(g *guardOptions) { o(g) }

// BackendErrorPolicy is what a guard does when the lock backend fails.
type BackendErrorPolicy uint8

const (
	// FailClosed denies the request: the default.
	FailClosed BackendErrorPolicy = iota
	// FailOpen runs it without a lock, so that during an outage two requests
	// with one key may overlap. [FromContext] then returns false.
	FailOpen
)

// OnBackendError chooses what happens when the lock backend is unavailable.
func OnBackendError(p BackendErrorPolicy) GuardOption {
	return guardOption(func(g *guardOptions) { g.backendError = p })
}

// AwaitRelease makes the guard wait (or not) until its release is answered,
// for at most 250 ms or until the caller's context ends. By default it waits
// only with Wait(0), where a client's next request must not be told "held"
// because of its own last one; with a longer Wait that request would only wait
// for the moment the release takes, and nobody else should.
func AwaitRelease(await bool) GuardOption {
	return guardOption(func(g *guardOptions) { g.awaitRelease = &await })
}

// NewGuard returns a guard that takes its locks from l. Its error matches
// [ErrOption] and lists every option that is out of range.
func NewGuard(l Locker, opts ...GuardOption) (*Guard, error) {
	g := &Guard{locker: l}
	var errs []error
	if isNil(l) {
		errs = append(errs, fmt.Errorf("%w: the Locker is nil", ErrOption))
	}
	for _, o := range opts {
		if o != nil {
			o.applyGuard(&g.options)
		}
	}
	if p := g.options.backendError; p > FailOpen {
		errs = append(errs, fmt.Errorf("%w: unknown BackendErrorPolicy %d", ErrOption, p))
	}
	if _, err := DefaultSettings().With(g.options.settings...); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return g, nil
}

// isNil reports whether v, which is to be called later, is nil or a nil pointer or
// function.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func:
		return r.IsNil()
	}
	return false
}

// Run runs fn while holding the lock on key. The context that fn gets carries
// the lock ([FromContext]) and is cancelled when the lock is lost.
//
// Run returns fn's error as it is, or a [*Denial]: with the reason of the failed
// acquisition if fn did not run ([ReasonInternal] for an error of a Locker that is
// not this package's, and not known to it), with [ReasonLost] if fn ran but its
// lock was lost before it returned (the cause then also matches fn's error), with
// [ReasonStale] if fn's error matches [ErrStale]. [Denied] and [Reason.Ran] tell
// the three apart. A nil fn is [ErrOption], and nothing is acquired.
//
// The lock is released when fn returns, panics or calls [runtime.Goexit], even
// if ctx has ended; a panic goes on to the caller.
func (g *Guard) Run(ctx context.Context, key string, fn func(context.Context) error, opts ...AcquireOption) error {
	switch {
	case fn == nil:
		return Denied(fmt.Errorf("%w: the function to run under the lock is nil", ErrOption))
	case g.locker == nil:
		return Denied(fmt.Errorf("%w: the Guard has no Locker: make it with NewGuard", ErrOption))
	}
	switch {
	case len(opts) == 0:
		opts = g.options.settings
	case len(g.options.settings) > 0:
		opts = slices.Concat(g.options.settings, opts)
	}
	if g.options.shadow {
		return g.runShadow(ctx, key, fn, opts)
	}
	lock, err := g.locker.Acquire(ctx, key, opts...)
	if err != nil {
		if g.options.backendError == FailOpen && errors.Is(err, ErrBackend) && ctx.Err() == nil {
			// Under another guard's lock, that one is not the lock on this key.
			return fn(NewContext(ctx, nil))
		}
		return unacquired(err)
	}
	return g.runHolding(ctx, lock, fn, opts)
}

func (g *Guard) runHolding(ctx context.Context, lock Lock, fn func(context.Context) error, opts []AcquireOption) (err error) {
	defer func() { g.release(ctx, lock, opts) }()
	if err = fn(lock.Context()); err == error((*Denial)(nil)) {
		err = nil // as of return Denied(err), where err is nil
	}
	lost := stopCause(lock.Context())
	if lost == nil && lock.Remaining() <= 0 && !errors.Is(lock.Release(ended), ErrReleased) {
		// Not given back by fn itself: lapsed, and the timers is about to
		// say so, or cannot because the request's context ended first.
		lost = ErrLost
	}
	if lost != nil {
		return &Denial{Reason: ReasonLost, Cause: errors.Join(lost, err)}
	}
	return stale(err)
}

// stale returns err, as a denial if it says that a store refused the token.
func stale(err error) error {
	if !errors.Is(err, ErrStale) {
		return err
	}
	if d, ok := errors.AsType[*Denial](err); ok {
		return d // of a guard within this one
	}
	return &Denial{Reason: ReasonStale, Cause: err}
}

func (g *Guard) release(ctx context.Context, lock Lock, opts []AcquireOption) {
	// Its answer changes nothing for the caller: a lost lease was noticed
	// above, and an unanswered release goes on in the background.
	if !g.awaits(lock, opts) {
		_ = lock.Release(ended)
		return
	}
	_ = releaseWithin(ctx, lock, releaseAwait)
}

// releaseWithin is Release with a context that ends within d, for which the locks
// of this package need none.
func releaseWithin(ctx context.Context, lock Lock, d time.Duration) error {
	if own, ok := lock.(interface {
		releaseWithin(context.Context, time.Duration) error
	}); ok {
		return own.releaseWithin(ctx, d)
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return lock.Release(ctx)
}

// ended is a context that has ended: Release sends, and does not wait.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func (g *Guard) awaits(lock Lock, opts []AcquireOption) bool {
	if g.options.shadow {
		return false
	}
	if g.options.awaitRelease != nil {
		return *g.options.awaitRelease
	}
	if own := ownLock(lock); own != nil {
		return own.asked == 0
	}
	inForce := Settings{Wait: -1} // of another's Locker the default is not known
	for _, o := range opts {
		if o != nil {
			o.applyAcquire(&inForce)
		}
	}
	return inForce.Wait == 0
}
