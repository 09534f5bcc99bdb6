package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/panics"
)

// Observe returns a Locker that tells o about everything l does; l itself if o
// is nil, or l is. It panics if o is a nil pointer. For a [RedisLocker], [WithObserver] is the same. It is for the beginning of
// a program: o hears of l's health from then on, and for as long as l lives.
func Observe(l Locker, o Observer) Locker {
	switch {
	case o == nil, isNil(l):
		return l // NewGuard says that it is nil
	case isNil(o):
		panic(fmt.Sprintf("core: the Observer is a nil %T", o))
	}
	ol := &observedLocker{inner: l, observer: o}
	if n, ok := l.(interface{ Namespace() string }); ok {
		ol.namespace = n.Namespace()
	}
	if d, ok := l.(interface{ defaults() Settings }); ok {
		ol.settings = d.defaults()
	}
	if h, ok := l.(healthTeller); ok {
		h.watchHealth(o.HealthChanged)
	}
	return ol
}

// healthTeller is a Locker that knows whether its backend answers.
type healthTeller interface{ watchHealth(func(Health)) }

type observedLocker struct {
	inner     Locker
	observer  Observer
	namespace string
	settings  Settings // the defaults, where they are known
	panics    panics.Log
}

var _ Locker = (*observedLocker)(nil)

// Namespace is that of the Locker within.
func (o *observedLocker) Namespace() string { return o.namespace }

func (o *observedLocker) defaults() Settings { return o.settings }

func (o *observedLocker) watchHealth(f func(Health)) {
	if h, ok := o.inner.(healthTeller); ok {
		h.watchHealth(f)
	}
}

// attempt describes an acquisition; the inner Locker judges its settings.
func (o *observedLocker) attempt(key string, opts []AcquireOption) Attempt {
	a := Attempt{Namespace: o.namespace, Name: o.settings.Name, Key: key, Start: time.Now()}
	if len(opts) > 0 {
		s := o.settings
		_ = s.apply(opts)
		a.Name, a.Shadow = s.Name, s.shadow
	}
	a.Name = cmp.Or(a.Name, o.namespace)
	return a
}

func (o *observedLocker) Acquire(ctx context.Context, key string, opts ...AcquireOption) (Lock, error) {
	a := o.attempt(key, opts)

	// Only the observer sees the acquire span's context. Were the lock's
	// context derived from it, all that the holder does would hang under a
	// span that ended before the work began.
	actx := o.observer.Acquiring(ctx, a)
	l := &observedLock{observer: o.observer, attempt: a, acquiring: actx, traceParent: o.observer.TraceParent(actx)}
	returned := false
	defer func() {
		if !returned { // a panic: another observer's, or of a Locker that is not ours
			o.observer.Acquired(actx, a, AcquireResult{Err: errUnwound, Queued: l.queued})
		}
	}()
	inner, err := o.inner.Acquire(ctx, key, l.terms(opts)...)
	returned = true
	if err != nil {
		r := AcquireResult{Err: err, Queued: l.queued}
		if ae, ok := errors.AsType[*AcquireError](err); ok {
			r.Info = ae.Info
		}
		o.observer.Acquired(actx, a, r)
		return nil, err
	}
	handedOut := false
	defer func() {
		if !handedOut { // the observer panicked
			_ = inner.Release(ended)
		}
	}()
	o.observer.Acquired(actx, a, AcquireResult{Info: inner.Info(), Queued: l.queued, Token: inner.Token()})

	l.Lock, l.since, l.acquiring = inner, time.Now(), nil
	l.context = observedContext{o.observer.Holding(inner.Context(), a, inner), l}
	// A loss is told when it happens: a hung holder may never release.
	if k := ownLock(inner); k != nil {
		k.watch(l)
	} else {
		l.stop = context.AfterFunc(inner.Context(), func() {
			o.panics.Run("an observer", func() { l.stopped(context.Cause(inner.Context())) })
		})
	}
	handedOut = true
	return l, nil
}

var errUnwound = errors.New("core: Acquire did not return")

// ownLock returns the lock of a RedisLocker beneath any observers, nil if there
// is none.
func ownLock(l Lock) *lock {
	for {
		switch k := l.(type) {
		case *lock:
			return k
		case *observedLock:
			l = k.Lock
		default:
			return nil
		}
	}
}

// observedLock is an acquisition, and then a lock, that is told to an observer;
// its end once.
type observedLock struct {
	observer Observer
	attempt  Attempt

	// Of the acquisition.
	acquiring   context.Context // what Acquiring returned
	traceParent string
	queued      bool             // Waiting was called
	outer       *observedLock    // another observer's
	option      [1]AcquireOption // saves an allocation

	// Of the lock.
	Lock
	context observedContext
	since   time.Time
	stop    func() bool // nil if the lock itself tells of its end
	told    atomic.Bool
}

// terms returns opts with what an observer adds.
func (l *observedLock) terms(opts []AcquireOption) []AcquireOption {
	l.option[0] = (*observedTerms)(l)
	if len(opts) == 0 {
		return l.option[:]
	}
	return append(slices.Clip(opts), l.option[0])
}

// observedTerms is an observedLock as an option of its own acquisition.
type observedTerms observedLock

func (t *observedTerms) applyAcquire(s *Settings) {
	if s.inLine != (*observedLock)(t) {
		t.outer, s.inLine = s.inLine, (*observedLock)(t)
	}
	if t.traceParent != "" {
		s.Meta.TraceParent = t.traceParent
	}
}

// waiting hears that the request is in line.
func (l *observedLock) waiting() {
	if !l.queued {
		l.queued = true
		l.observer.Waiting(l.acquiring, l.attempt)
	}
	if l.outer != nil {
		l.outer.waiting()
	}
}

// renewed hears what a renewal of the lease came to.
func (l *observedLock) renewed(err error) {
	l.observer.Renewed(l.context.Context, l.attempt, err)
}

// observedContext is what Holding returned, with the lock in it.
type observedContext struct {
	context.Context
	lock *observedLock
}

func (c *observedContext) Value(key any) any {
	if _, ok := key.(lockContextKey); ok {
		return Lock(c.lock)
	}
	return c.Context.Value(key)
}

func (l *observedLock) Context() context.Context { return &l.context }

// stopped hears why the holder must stop, if it must.
func (l *observedLock) stopped(cause error) {
	if err := stopError(cause); err != nil {
		l.ended(time.Since(l.since), err)
	}
}

func (l *observedLock) Release(ctx context.Context) error {
	return l.released(func() error { return l.Lock.Release(ctx) })
}

func (l *observedLock) releaseWithin(ctx context.Context, d time.Duration) error {
	return l.released(func() error { return releaseWithin(ctx, l.Lock, d) })
}

// released tells the observer how the hold ended, by what release does.
func (l *observedLock) released(release func() error) error {
	if l.stop != nil {
		l.stop()
	}
	held, lapsed := time.Since(l.since), l.Lock.Remaining() <= 0
	err := release()
	// Not errors.Is: the first call's error has ctx's cause in it, which may be
	// the release of another lock.
	if err == ErrReleased {
		return err // the first call tells, once it knows how the hold ended
	}
	// A loss may have come since stop: the first cause is the one that stays.
	// But it is not there if the request's own context ended before.
	end := stopCause(l.Lock.Context())
	if end == nil && (lapsed || errors.Is(err, ErrLost)) {
		end = ErrLost
	}
	l.ended(held, end)
	return err
}

func (l *observedLock) ended(held time.Duration, err error) {
	if l.told.CompareAndSwap(false, true) {
		l.observer.Released(l.context.Context, l.attempt, HoldResult{Held: held, Err: err})
	}
}

// stopCause returns why the holder with this lock context must stop:
// ErrLost, ErrBroken or ErrMaxHold, or nil if it need not, or only because the
// request itself ended.
func stopCause(ctx context.Context) error { return stopError(context.Cause(ctx)) }

func stopError(cause error) error {
	for _, err := range [...]error{ErrLost, ErrBroken, ErrMaxHold} {
		if errors.Is(cause, err) {
			return err
		}
	}
	return nil
}
