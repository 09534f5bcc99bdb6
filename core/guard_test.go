package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// lockerFunc is a Locker made of a function.
type lockerFunc func(ctx context.Context, key string, opts ...AcquireOption) (Lock, error)

func (f lockerFunc) Acquire(ctx context.Context, key string, opts ...AcquireOption) (Lock, error) {
	return f(ctx, key, opts...)
}

// failing returns a Locker whose acquisitions fail with err.
func failing(err error) Locker {
	return lockerFunc(func(context.Context, string, ...AcquireOption) (Lock, error) { return nil, err })
}

func guardOn(t *testing.T, l Locker, opts ...GuardOption) *Guard {
	t.Helper()
	g, err := NewGuard(l, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// denied returns err as the denial that it must be.
func denied(t *testing.T, err error, want Reason) *Denial {
	t.Helper()
	d, ok := errors.AsType[*Denial](err)
	if !ok {
		t.Fatalf("%v, want a denial with %s", err, want)
	}
	if d.Reason != want {
		t.Fatalf("denied with %s, want %s: %v", d.Reason, want, err)
	}
	return d
}

func TestAGuardRunsItsFunctionUnderTheLock(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		ran := 0
		err := guardOn(t, l).Run(t.Context(), "k", func(ctx context.Context) error {
			ran++
			k, ok := FromContext(ctx)
			if !ok || k.Key() != "k" || k.Token() == 0 || k.Remaining() <= 0 {
				t.Errorf("FromContext = %v, %v", k, ok)
			}
			if b.lease("k") == "" {
				t.Error("no lease in Redis")
			}
			if _, err := l.TryAcquire(t.Context(), "k"); !errors.Is(err, ErrHeld) {
				t.Errorf("another: %v, want ErrHeld", err)
			}
			return nil
		})
		if err != nil || ran != 1 {
			t.Errorf("Run: %v, ran %d times", err, ran)
		}
		synctest.Wait()
		if b.lease("k") != "" || p.count("release") != 1 {
			t.Errorf("after it: lease %q, %d releases", b.lease("k"), p.count("release"))
		}
	})
}

func TestTheFunctionsErrorPassesThroughUnchanged(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		for name, want := range map[string]error{
			"plain":                    errors.New("out of stock"),
			"wrapped":                  fmt.Errorf("order 1: %w", io.EOF),
			"a context's":              context.Canceled,
			"of another lock":          &AcquireError{Key: "other", Err: ErrHeld},
			"a denial within":          &Denial{Reason: ReasonHeld, Cause: ErrHeld},
			"the name of another loss": fmt.Errorf("of another lock: %w", ErrLost),
		} {
			err := l.Do(t.Context(), "k", func(context.Context) error { return want })
			if err != want {
				t.Errorf("%s: %v, want the very same error", name, err)
			}
		}
	})
}

func TestAFailedAcquisitionIsADenialAndTheFunctionDoesNotRun(t *testing.T) {
	info := Info{Waited: time.Second, RetryAfter: 2 * time.Second, Blocker: &Holder{Meta: Meta{Service: "shop"}}}
	for want, sentinel := range map[Reason]error{
		ReasonHeld:         ErrHeld,
		ReasonWaitTimeout:  ErrWaitTimeout,
		ReasonQueueFull:    ErrQueueFull,
		ReasonBackend:      ErrBackend,
		ReasonShuttingDown: ErrClosed,
		ReasonKeyInvalid:   ErrKey,
		ReasonSelfDeadlock: ErrSelfDeadlock,
		ReasonInternal:     ErrOption,
		ReasonDeadline:     context.DeadlineExceeded,
		ReasonCanceled:     context.Canceled,
	} {
		t.Run(string(want), func(t *testing.T) {
			cause := &AcquireError{Key: "k", Err: sentinel, Info: info}
			err := guardOn(t, failing(cause)).Run(t.Context(), "k", func(context.Context) error {
				t.Error("it ran")
				return nil
			})
			d := denied(t, err, want)
			if d.Waited != info.Waited || d.RetryAfter != info.RetryAfter || d.Holder != info.Blocker {
				t.Errorf("%+v", d)
			}
			if ae, ok := errors.AsType[*AcquireError](err); !ok || ae != cause || !errors.Is(err, sentinel) {
				t.Errorf("%v does not match its cause", err)
			}
		})
	}
}

func TestADenialTellsWhoWasInTheWayAndForHowLong(t *testing.T) {
	cases := map[string]struct {
		elsewhere bool // held by another process
		opts      []AcquireOption
		reason    Reason
		waited    time.Duration
	}{
		"held here":                {false, []AcquireOption{Wait(0)}, ReasonHeld, 0},
		"held elsewhere":           {true, []AcquireOption{Wait(0)}, ReasonHeld, 0},
		"waited, held here":        {false, []AcquireOption{Wait(2 * time.Second)}, ReasonWaitTimeout, 2 * time.Second},
		"waited, held elsewhere":   {true, []AcquireOption{Wait(2 * time.Second)}, ReasonWaitTimeout, 2 * time.Second},
		"too many wait, held here": {false, []AcquireOption{MaxWaiters(0)}, ReasonQueueFull, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, _ := b.locker()
				owner := l
				if c.elsewhere {
					owner, _ = b.locker()
				}
				k := get(t, owner, "k", WithMeta(Meta{Service: "shop", RequestID: "req-1"}))
				defer free(t, k)
				err := l.Do(t.Context(), "k", func(context.Context) error {
					t.Error("it ran")
					return nil
				}, c.opts...)
				d := denied(t, err, c.reason)
				if d.Waited != c.waited {
					t.Errorf("waited %v, want %v", d.Waited, c.waited)
				}
				if d.Holder == nil || d.Holder.Service != "shop" || d.Holder.RequestID != "req-1" || d.Holder.PID == 0 {
					t.Errorf("holder %+v", d.Holder)
				}
				if d.RetryAfter <= 0 || d.RetryAfter > 13*time.Second {
					t.Errorf("retry after %v", d.RetryAfter)
				}
			})
		})
	}
}

func TestALockThatIsLostBeforeTheFunctionReturnsIsADenial(t *testing.T) {
	own := errors.New("its own")
	for name, result := range map[string]error{"with an error": own, "without": nil, "with ErrStale": ErrStale} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker(TTL(3 * time.Second))
				err := l.Do(t.Context(), "k", func(ctx context.Context) error {
					p.via(func(operation, func() error) error { return io.EOF })
					<-ctx.Done()
					if !errors.Is(context.Cause(ctx), ErrLost) {
						t.Errorf("cause %v", context.Cause(ctx))
					}
					return result
				})
				p.via(nil)
				denied(t, err, ReasonLost)
				if !errors.Is(err, ErrLost) || result != nil && !errors.Is(err, result) {
					t.Errorf("%v does not match ErrLost and %v", err, result)
				}
				elapse(time.Minute)
			})
		})
	}
}

// The timers may be late, and the request's own end hides a loss.
func TestALeaseThatHasLapsedCountsAsLostEvenIfNobodySaidSo(t *testing.T) {
	lapsed := func(ctx context.Context, l *RedisLocker) {
		k, _ := FromContext(ctx)
		lapse(k.(*lock))
	}
	cases := map[string]func(ctx context.Context, cancel func(), l *RedisLocker){
		"unnoticed": func(ctx context.Context, _ func(), l *RedisLocker) { lapsed(ctx, l) },
		"after the request's end": func(ctx context.Context, cancel func(), l *RedisLocker) {
			cancel()
			lapsed(ctx, l)
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, _ := b.locker(TTL(30 * time.Second))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				err := l.Do(ctx, "k", func(ctx context.Context) error {
					spoil(ctx, cancel, l)
					if errors.Is(context.Cause(ctx), ErrLost) {
						t.Error("somebody said so")
					}
					return io.EOF
				})
				denied(t, err, ReasonLost)
				if !errors.Is(err, ErrLost) || !errors.Is(err, io.EOF) {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestAFunctionMayReleaseItsLockEarly(t *testing.T) {
	for name, before := range map[string]func(cancel func()){
		"in a live request":     func(func()) {},
		"in a canceled request": func(cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				err := l.Do(ctx, "k", func(ctx context.Context) error {
					before(cancel)
					k, _ := FromContext(ctx)
					if err := k.Release(context.WithoutCancel(ctx)); err != nil {
						t.Errorf("Release: %v", err)
					}
					elapse(time.Minute) // writes a long answer, say
					return io.EOF
				})
				if err != io.EOF {
					t.Errorf("Run: %v, want the function's own", err)
				}
				if p.count("release") != 1 {
					t.Errorf("%d releases", p.count("release"))
				}
			})
		})
	}
}

func TestARefusedFencingTokenIsADenial(t *testing.T) {
	held := &AcquireError{Key: "other", Err: ErrHeld}
	within := &Denial{Reason: ReasonStale, Cause: ErrStale}
	for name, result := range map[string]error{
		"plain":               ErrStale,
		"wrapped":             fmt.Errorf("order 1: %w", ErrStale),
		"beside another":      errors.Join(held, ErrStale),
		"from a guard within": within,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, _ := b.locker()
				err := l.Do(t.Context(), "k", func(context.Context) error { return result })
				d := denied(t, err, ReasonStale)
				if !errors.Is(err, result) {
					t.Errorf("%v does not match %v", err, result)
				}
				if name == "from a guard within" && d != within {
					t.Errorf("judged twice: %v", d)
				}
			})
		})
	}
}

func TestAFunctionThatOverstaysMaxHoldIsDenied(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		start := time.Now()
		err := guardOn(t, l, MaxHold(2*time.Second)).Run(t.Context(), "k", func(ctx context.Context) error {
			<-ctx.Done()
			if d := time.Since(start); d != 2*time.Second || !errors.Is(context.Cause(ctx), ErrMaxHold) {
				t.Errorf("stopped after %v: %v", d, context.Cause(ctx))
			}
			return nil
		})
		if denied(t, err, ReasonLost); !errors.Is(err, ErrMaxHold) {
			t.Errorf("%v does not match ErrMaxHold", err)
		}
		synctest.Wait()
		if b.lease("k") != "" {
			t.Error("not released when the function returned")
		}
	})
}

func TestNewGuardListsEverythingThatIsWrong(t *testing.T) {
	var none *RedisLocker
	for name, l := range map[string]Locker{"nil": nil, "a nil *RedisLocker": none} {
		t.Run(name, func(t *testing.T) {
			g, err := NewGuard(l, TTL(1), Wait(-1), nil, MaxWaiters(-1), MaxHold(-1), OnBackendError(7))
			if g != nil || !errors.Is(err, ErrOption) {
				t.Fatalf("%v, %v", g, err)
			}
			if n := leaves(err); n != 6 {
				t.Errorf("%d faults, want 6: %v", n, err)
			}
		})
	}
	if _, err := NewGuard(failing(io.EOF), nil, Setting{}, AwaitRelease(false)); err != nil {
		t.Errorf("nothing is wrong: %v", err)
	}
}

// leaves counts what is joined in err.
func leaves(err error) int {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return 1
	}
	n := 0
	for _, e := range joined.Unwrap() {
		n += leaves(e)
	}
	return n
}
