package core

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// step marks a context with the observer's call that it came from.
type step struct{ name string }

// recorder writes down what it hears, and which of its own contexts it hears
// it in.
type recorder struct {
	trace string // what TraceParent returns

	mu       sync.Mutex
	calls    []string
	attempts []Attempt
	outcomes []AcquireResult
	ends     []HoldResult
	renewals []error
	healths  []Health
}

var _ Observer = (*recorder)(nil)

func (r *recorder) note(ctx context.Context, call string, a Attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, from := range []string{"Acquiring", "Holding"} {
		if ctx.Value(step{from}) == r {
			call += " in " + from
		}
	}
	r.calls = append(r.calls, call)
	r.attempts = append(r.attempts, a)
}

func (r *recorder) Acquiring(ctx context.Context, a Attempt) context.Context {
	r.note(ctx, "Acquiring", a)
	return context.WithValue(ctx, step{"Acquiring"}, r)
}

func (r *recorder) TraceParent(ctx context.Context) string {
	r.mu.Lock()
	a := r.attempts[0]
	r.mu.Unlock()
	r.note(ctx, "TraceParent", a)
	return r.trace
}

func (r *recorder) Waiting(ctx context.Context, a Attempt) { r.note(ctx, "Waiting", a) }

func (r *recorder) Acquired(ctx context.Context, a Attempt, res AcquireResult) {
	r.note(ctx, "Acquired", a)
	r.outcomes = append(r.outcomes, res)
}

func (r *recorder) Holding(ctx context.Context, a Attempt, _ Lock) context.Context {
	r.note(ctx, "Holding", a)
	return context.WithValue(ctx, step{"Holding"}, r)
}

func (r *recorder) Released(ctx context.Context, a Attempt, res HoldResult) {
	r.note(ctx, "Released", a)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends = append(r.ends, res)
}

// Renewed is not among the calls: it may come in between at any time.
func (r *recorder) Renewed(ctx context.Context, _ Attempt, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Value(step{"Holding"}) != r {
		err = errors.New("not in the context from Holding")
	}
	r.renewals = append(r.renewals, err)
}

func (r *recorder) HealthChanged(h Health) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.healths = append(r.healths, h)
}

// released returns the ends that were told so far.
func (r *recorder) released() []HoldResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ends)
}

var heldAndReleased = []string{
	"Acquiring", "TraceParent in Acquiring", "Acquired in Acquiring", "Holding", "Released in Holding",
}

// observing is the two ways to observe a RedisLocker.
var observing = map[string]func(b *bubble, r *recorder, opts ...Option) (Locker, *path){
	"Observe": func(b *bubble, r *recorder, opts ...Option) (Locker, *path) {
		l, p := b.locker(opts...)
		return Observe(l, r), p
	},
	"WithObserver": func(b *bubble, r *recorder, opts ...Option) (Locker, *path) {
		l, p := b.locker(append(opts, WithObserver(r))...)
		return l, p
	},
}

// observed runs f for each way to observe a RedisLocker.
func observed(t *testing.T, f func(t *testing.T, b *bubble, r *recorder, build func(opts ...Option) (Locker, *path))) {
	for name, build := range observing {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				r := &recorder{}
				f(t, b, r, func(opts ...Option) (Locker, *path) { return build(b, r, opts...) })
			})
		})
	}
}

func TestAnObserverHearsAHoldInOrderAndInItsOwnContexts(t *testing.T) {
	observed(t, func(t *testing.T, b *bubble, r *recorder, build func(...Option) (Locker, *path)) {
		l, _ := build(Prefix("shop"))
		k, err := l.Acquire(t.Context(), "k", Name("PUT /orders/{id}"))
		if err != nil {
			t.Fatal(err)
		}
		// What the holder does is not a part of the wait.
		if k.Context().Value(step{"Acquiring"}) != nil || k.Context().Value(step{"Holding"}) != r {
			t.Error("the lock's context is not the one from Holding")
		}
		if got, ok := FromContext(k.Context()); !ok || got != k {
			t.Errorf("FromContext = %v, %v, want the observed lock", got, ok)
		}
		elapse(3 * time.Second)
		if err := k.Release(t.Context()); err != nil {
			t.Error(err)
		}
		if !slices.Equal(r.calls, heldAndReleased) {
			t.Errorf("calls %q", r.calls)
		}
		for _, a := range r.attempts {
			if a != r.attempts[0] {
				t.Errorf("attempts differ: %+v", r.attempts)
			}
		}
		if a := r.attempts[0]; a.Namespace != "shop" || a.Name != "PUT /orders/{id}" || a.Key != "k" || time.Since(a.Start) != 3*time.Second {
			t.Errorf("attempt %+v", a)
		}
		if o := r.outcomes; len(o) != 1 || o[0].Err != nil || o[0].Token != k.Token() || o[0].Info != k.Info() {
			t.Errorf("outcomes %+v", o)
		}
		if e := r.ends; len(e) != 1 || e[0] != (HoldResult{Held: 3 * time.Second}) {
			t.Errorf("ends %+v", e)
		}
	})
}

func TestAnObserverHearsHowAnAcquisitionFailed(t *testing.T) {
	observed(t, func(t *testing.T, b *bubble, r *recorder, build func(...Option) (Locker, *path)) {
		l, _ := build()
		other, _ := b.locker(WithMeta(Meta{Service: "other"}))
		defer free(t, get(t, other, "k"))
		k, err := l.Acquire(t.Context(), "k", Wait(time.Second))
		if k != nil || !errors.Is(err, ErrWaitTimeout) {
			t.Fatalf("%v, %v", k, err)
		}
		if want := []string{"Acquiring", "TraceParent in Acquiring", "Waiting in Acquiring", "Acquired in Acquiring"}; !slices.Equal(r.calls, want) {
			t.Errorf("calls %q", r.calls)
		}
		o := r.outcomes
		if len(o) != 1 || o[0].Err != err || !o[0].Queued || o[0].Token != 0 || o[0].Info.Waited != time.Second ||
			o[0].Info.Blocker == nil || o[0].Info.Blocker.Service != "other" {
			t.Errorf("outcomes %+v", o)
		}
	})
}

func TestAnObserverHearsTryAcquireAndDo(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		r := &recorder{}
		l, _ := b.locker(WithObserver(r))
		k, err := l.TryAcquire(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Release(t.Context()); err != nil {
			t.Error(err)
		}
		err = l.Do(t.Context(), "k", func(ctx context.Context) error {
			if ctx.Value(step{"Holding"}) != r {
				t.Error("not in the context from Holding")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if want := append(slices.Clone(heldAndReleased), heldAndReleased...); !slices.Equal(r.calls, want) {
			t.Errorf("calls %q", r.calls)
		}
	})
}

func TestTheNameOfAnAttemptIsTheOneInForceAndElseTheNamespace(t *testing.T) {
	name := func(s string) []AcquireOption { return []AcquireOption{nil, Name(s)} }
	cases := map[string]struct {
		locker []Option
		guard  []GuardOption
		call   []AcquireOption
		want   string
	}{
		"none":          {nil, nil, nil, "shop"},
		"the Locker's":  {[]Option{Name("locker")}, nil, nil, "locker"},
		"the guard's":   {[]Option{Name("locker")}, []GuardOption{Name("guard")}, nil, "guard"},
		"the call's":    {[]Option{Name("locker")}, []GuardOption{Name("guard")}, name("call"), "call"},
		"none any more": {[]Option{Name("locker")}, nil, name(""), "shop"},
	}
	for what, c := range cases {
		t.Run(what, func(t *testing.T) {
			observed(t, func(t *testing.T, b *bubble, r *recorder, build func(...Option) (Locker, *path)) {
				l, _ := build(append([]Option{Prefix("shop")}, c.locker...)...)
				g := guardOn(t, l, c.guard...)
				if err := g.Run(t.Context(), "k", func(context.Context) error { return nil }, c.call...); err != nil {
					t.Fatal(err)
				}
				if a := r.attempts[0]; a.Name != c.want || a.Namespace != "shop" {
					t.Errorf("name %q, namespace %q, want %q and %q", a.Name, a.Namespace, c.want, "shop")
				}
			})
		})
	}
}

func TestTheTraceParentReachesTheLeaseAndThoseWhoWait(t *testing.T) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	observed(t, func(t *testing.T, b *bubble, r *recorder, build func(...Option) (Locker, *path)) {
		r.trace = trace
		l, _ := build(Tenure(0))
		elsewhere, _ := b.locker()
		k, err := l.Acquire(t.Context(), "k", WithMeta(Meta{RequestID: "req-1"}))
		if err != nil {
			t.Fatal(err)
		}
		here := begin(t.Context(), bare(l), "k")
		there := begin(t.Context(), elsewhere, "k")
		synctest.Wait()
		if err := k.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if there.err == nil && there.done() {
			free(t, there.lock)
		}
		synctest.Wait()
		for where, w := range map[string]*result{"here": here, "elsewhere": there} {
			if !w.done() || w.err != nil {
				t.Fatalf("%s: %+v", where, w)
			}
			h := w.lock.Info().Blocker
			if h == nil || h.TraceParent != trace || h.RequestID != "req-1" {
				t.Errorf("%s the blocker is %+v", where, h)
			}
		}
		free(t, here.lock)
	})
}

// bare returns the RedisLocker in l, without its observer.
func bare(l Locker) Locker {
	if o, ok := l.(*observedLocker); ok {
		l = o.inner
	}
	return unobserved{l.(*RedisLocker)}
}

// The options are the caller's, and may be shared between goroutines.
func TestTheCallersOptionsAreNotWrittenTo(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker(WithObserver(&recorder{trace: "00-trace"}))
		opts := make([]AcquireOption, 1, 4)
		for name, use := range map[string]func() error{
			"Acquire":    func() error { _, err := l.Acquire(t.Context(), "1", opts...); return err },
			"TryAcquire": func() error { _, err := l.TryAcquire(t.Context(), "2", opts...); return err },
			"Do":         func() error { return l.Do(t.Context(), "3", func(context.Context) error { return nil }, opts...) },
		} {
			if err := use(); err != nil {
				t.Error(err)
			}
			if full := opts[:4]; full[1] != nil || full[2] != nil || full[3] != nil {
				t.Errorf("%s wrote to its caller's array: %v", name, full)
			}
		}
	})
}

func TestTwoObserversBothHear(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		inner, outer := &recorder{}, &recorder{trace: "00-outer"}
		l, _ := b.locker(Prefix("shop"), Name("locker"), WithObserver(inner))
		k, err := Observe(l, outer).Acquire(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := FromContext(k.Context()); !ok || got != k {
			t.Errorf("FromContext = %v, %v, want the outermost", got, ok)
		}
		if h := decodeHolder(remoteEntry(b, "k").Meta()); h == nil || h.TraceParent != "00-outer" {
			t.Errorf("the lease names %+v", h)
		}
		if err := k.Release(t.Context()); err != nil {
			t.Error(err)
		}
		for name, r := range map[string]*recorder{"inner": inner, "outer": outer} {
			if !slices.Equal(r.calls, heldAndReleased) {
				t.Errorf("%s: calls %q", name, r.calls)
			}
			if a := r.attempts[0]; a.Namespace != "shop" || a.Name != "locker" {
				t.Errorf("%s: attempt %+v", name, a)
			}
		}
	})
}

func TestNoObserverIsNoWrapping(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker(WithObserver(nil))
		if got := Observe(l, nil); got != l {
			t.Errorf("Observe(l, nil) = %v", got)
		}
		free(t, get(t, l, "k"))
	})
}

func TestNopObserverChangesNothing(t *testing.T) {
	var o NopObserver
	ctx := t.Context()
	if o.Acquiring(ctx, Attempt{}) != ctx || o.Holding(ctx, Attempt{}, nil) != ctx || o.TraceParent(ctx) != "" {
		t.Error("it does something")
	}
	o.Acquired(ctx, Attempt{}, AcquireResult{})
	o.Released(ctx, Attempt{}, HoldResult{})
}
