package core

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPanicReleasesTheLockAndGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		var recovered any
		func() {
			defer func() { recovered = recover() }()
			_ = l.Do(t.Context(), "k", func(context.Context) error { panic("boom") })
		}()
		if recovered != "boom" {
			t.Errorf("recovered %v", recovered)
		}
		synctest.Wait()
		if b.lease("k") != "" {
			t.Error("not released")
		}
		if err := l.Do(t.Context(), "k", func(context.Context) error { return nil }); err != nil {
			t.Errorf("the next: %v", err)
		}
	})
}

// As t.FailNow does, in a user's test.
func TestGoexitReleasesTheLockAndGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		ended, returned := make(chan struct{}), false
		go func() {
			defer close(ended)
			_ = l.Do(t.Context(), "k", func(context.Context) error {
				runtime.Goexit()
				return nil
			})
			returned = true
		}()
		<-ended
		if returned {
			t.Error("Goexit was stopped")
		}
		synctest.Wait()
		if b.lease("k") != "" {
			t.Error("not released")
		}
	})
}

func TestARequestWhoseContextEndedStillReleasesAtOnce(t *testing.T) {
	for name, opts := range map[string][]AcquireOption{"does not await": nil, "awaits": {Wait(0)}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker()
				ctx, cancel := context.WithCancel(t.Context())
				start := time.Now()
				err := l.Do(ctx, "k", func(ctx context.Context) error {
					p.via(func(op operation, call func() error) error {
						time.Sleep(100 * time.Millisecond) // nobody must wait for this
						return call()
					})
					cancel()
					<-ctx.Done()
					return ctx.Err()
				}, opts...)
				if err != context.Canceled || time.Since(start) != 0 {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				synctest.Wait()
				if p.count("release") != 1 {
					t.Errorf("%d releases sent at once", p.count("release"))
				}
				elapse(100 * time.Millisecond)
				if b.lease("k") != "" {
					t.Error("not released")
				}
			})
		})
	}
}

// A client's next request must not be told "held" because of its own last one.
// With a wait it would only wait for the moment that the release takes.
func TestAGuardAwaitsItsReleaseOnlyWithoutAWaitOrOnRequestAndNotForLong(t *testing.T) {
	const slow, stuck = 100 * time.Millisecond, time.Minute
	wait := func(opts ...AcquireOption) []AcquireOption { return opts }
	cases := map[string]struct {
		locker  []Option
		guard   []GuardOption
		call    []AcquireOption
		release time.Duration // how long Redis takes for it
		want    time.Duration // how long Run takes
	}{
		"default":                        {nil, nil, nil, slow, 0},
		"Wait(0) of the call":            {nil, nil, wait(Wait(0)), slow, slow},
		"Wait(0) of the guard":           {nil, []GuardOption{Wait(0)}, nil, slow, slow},
		"Wait(0) of the Locker":          {[]Option{Wait(0)}, nil, nil, slow, slow},
		"the call overrides the guard":   {nil, []GuardOption{Wait(0)}, wait(Wait(time.Second)), slow, 0},
		"the guard overrides the Locker": {[]Option{Wait(0)}, []GuardOption{Wait(time.Second)}, nil, slow, 0},
		"AwaitRelease":                   {nil, []GuardOption{AwaitRelease(true)}, nil, slow, slow},
		"AwaitRelease(false)":            {nil, []GuardOption{Wait(0), AwaitRelease(false)}, nil, slow, 0},
		"Wait(0), stuck":                 {nil, nil, wait(Wait(0)), stuck, 250 * time.Millisecond},
		"AwaitRelease, stuck":            {nil, []GuardOption{AwaitRelease(true)}, nil, stuck, 250 * time.Millisecond},
		"default, stuck":                 {nil, nil, nil, stuck, 0},
	}
	for name, c := range cases {
		for _, observed := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				inBubble(t, func(t *testing.T, b *bubble) {
					l, p := b.locker(c.locker...)
					var locker Locker = l
					if observed {
						locker = Observe(l, NopObserver{})
					}
					g := guardOn(t, locker, c.guard...)
					p.via(func(op operation, call func() error) error {
						if op.kind == "release" {
							time.Sleep(c.release)
						}
						return call()
					})
					start := time.Now()
					if err := g.Run(t.Context(), "k", func(context.Context) error { return nil }, c.call...); err != nil {
						t.Error(err)
					}
					if d := time.Since(start); d != c.want {
						t.Errorf("took %v, want %v", d, c.want)
					}
					elapse(c.release)
				})
			})
		}
	}
}

func TestAnAwaitedReleaseIsNotAwaitedPastTheContext(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		start := time.Now()
		err := l.Do(ctx, "k", func(context.Context) error {
			p.via(func(_ operation, call func() error) error {
				time.Sleep(100 * time.Millisecond)
				return call()
			})
			return nil
		}, Wait(0))
		if d := time.Since(start); err != nil || d != 30*time.Millisecond {
			t.Errorf("%v after %v", err, d)
		}
		elapse(time.Second)
		if b.lease("k") != "" {
			t.Error("not released")
		}
	})
}

func TestGuardsOnDifferentKeysNest(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		there, _ := b.locker(Prefix("other"))
		err := l.Do(t.Context(), "account:1", func(ctx context.Context) error {
			outer, _ := FromContext(ctx)
			return l.Do(ctx, "account:2", func(ctx context.Context) error {
				inner, _ := FromContext(ctx)
				if outer.Key() != "account:1" || inner.Key() != "account:2" {
					t.Errorf("keys %q and %q", outer.Key(), inner.Key())
				}
				// Another namespace is another lock.
				return there.Do(ctx, "account:1", func(context.Context) error { return nil })
			})
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestTheSameKeyWithinItselfIsDeniedAtOnce(t *testing.T) {
	type chain func(ctx context.Context) (context.Context, func())
	direct := func(ctx context.Context) (context.Context, func()) { return ctx, func() {} }
	chains := map[string]chain{
		"directly": direct,
		"in a context of its own": func(ctx context.Context) (context.Context, func()) {
			type key struct{}
			return context.WithTimeout(context.WithValue(ctx, key{}, 1), time.Hour)
		},
		"detached": func(ctx context.Context) (context.Context, func()) { return context.WithoutCancel(ctx), func() {} },
	}
	wraps := map[string]func(Locker) Locker{
		"plain":          func(l Locker) Locker { return l },
		"observed":       func(l Locker) Locker { return Observe(l, NopObserver{}) },
		"observed twice": func(l Locker) Locker { return Observe(Observe(l, NopObserver{}), NopObserver{}) },
	}
	for how, derive := range chains {
		for what, wrap := range wraps {
			t.Run(what+" "+how, func(t *testing.T) {
				inBubble(t, func(t *testing.T, b *bubble) {
					l, p := b.locker()
					outer, inner := guardOn(t, wrap(l)), guardOn(t, wrap(l))
					start := time.Now()
					err := outer.Run(t.Context(), "k", func(ctx context.Context) error {
						ctx, cancel := derive(ctx)
						defer cancel()
						// Also across a lock on another key.
						return outer.Run(ctx, "between", func(ctx context.Context) error {
							return inner.Run(ctx, "k", func(context.Context) error {
								t.Error("it ran")
								return nil
							})
						})
					})
					denied(t, err, ReasonSelfDeadlock)
					if d := time.Since(start); d != 0 || p.count("acquire") != 2 {
						t.Errorf("took %v and %d acquires", d, p.count("acquire"))
					}
				})
			})
		}
	}
}

func TestAKeyThatWasReleasedIsNoSelfDeadlock(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		observed := Observe(l, NopObserver{})
		k, err := observed.Acquire(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		// What outlives the request, such as work it started.
		after := context.WithoutCancel(k.Context())
		if _, err := observed.Acquire(after, "k"); !errors.Is(err, ErrSelfDeadlock) {
			t.Errorf("before the release: %v", err)
		}
		if err := k.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		again, err := observed.Acquire(after, "k")
		if err != nil {
			t.Fatalf("after the release: %v", err)
		}
		if err := again.Release(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
