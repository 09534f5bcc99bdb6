package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheLineOfAProcessIsFirstInFirstOut(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		k := get(t, l, "k")
		var order []int
		for i := range 20 {
			go func() {
				k, err := l.Acquire(t.Context(), "k")
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, i)
				if got := k.Info().Position; got != i+1 {
					t.Errorf("number %d was at position %d", i, got)
				}
				k.Release(t.Context())
			}()
			synctest.Wait()
		}
		// Redis knows of none of them.
		if n := p.count("acquire"); n != 1 {
			t.Errorf("%d acquires, want that of the holder", n)
		}
		free(t, k)
		elapse(time.Second)
		if !slices.IsSorted(order) || len(order) != 20 {
			t.Errorf("order %v", order)
		}
	})
}

func TestWaitersOfOneProcessCostRedisOneEntry(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		other, _ := b.locker()
		k := get(t, other, "k")
		for range 50 {
			begin(t.Context(), l, "k")
		}
		synctest.Wait()
		for _, name := range b.srv.Keys() {
			if members, err := b.srv.ZMembers(name); err == nil && len(members) != 1 {
				t.Errorf("%s has %d entries, want 1", name, len(members))
			}
		}
		free(t, k)
	})
}

func TestAdmission(t *testing.T) {
	for name, tt := range map[string]struct {
		opts []AcquireOption
		want error
	}{
		"does not wait":       {[]AcquireOption{Wait(0)}, ErrHeld},
		"waits its time":      {[]AcquireOption{Wait(time.Second)}, ErrWaitTimeout},
		"one too many":        {[]AcquireOption{MaxWaiters(1)}, ErrQueueFull},
		"none may wait":       {[]AcquireOption{MaxWaiters(0)}, ErrQueueFull},
		"cannot be: TTL":      {[]AcquireOption{TTL(time.Millisecond)}, ErrOption},
		"cannot be: waiters":  {[]AcquireOption{MaxWaiters(-1)}, ErrOption},
		"cannot be: MaxHold":  {[]AcquireOption{MaxHold(-1)}, ErrOption},
		"cannot be: negative": {[]AcquireOption{Wait(-1)}, ErrOption},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, _ := b.locker()
				k := get(t, l, "k", WithMeta(Meta{RequestID: "holder"}))
				waiter := begin(t.Context(), l, "k")
				synctest.Wait()
				start := time.Now()
				_, err := l.Acquire(t.Context(), "k", tt.opts...)
				if !errors.Is(err, tt.want) {
					t.Fatalf("Acquire: %v, want %v", err, tt.want)
				}
				var ae *AcquireError
				if !errors.As(err, &ae) || ae.Key != "k" {
					t.Fatalf("%T, key %q", err, ae.Key)
				}
				if want := 0 * time.Second; tt.want != ErrWaitTimeout && time.Since(start) != want {
					t.Errorf("told after %v, want at once", time.Since(start))
				}
				if tt.want == ErrOption {
					return
				}
				i := ae.Info
				if !i.Contended || i.Position != 2 || i.Blocker == nil || i.Blocker.RequestID != "holder" {
					t.Errorf("info %+v, blocker %+v", i, i.Blocker)
				}
				if i.RetryAfter < firstGuess || i.RetryAfter > maxGuess*3/2 || i.Waited == 0 && i.RetryAfter > time.Second {
					t.Errorf("retry after %v; no hold has been seen", i.RetryAfter)
				}
				free(t, k)
				synctest.Wait()
				free(t, waiter.lock)
			})
		})
	}
}

func TestAKeyHeldByAnotherProcessIsToldWithItsHolder(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		other, _ := b.locker(WithMeta(Meta{Service: "billing"}))
		k := get(t, other, "k", WithMeta(Meta{RequestID: "r1", TraceParent: "00-a-b-01"}))
		_, err := l.TryAcquire(t.Context(), "k")
		var ae *AcquireError
		if !errors.Is(err, ErrHeld) || !errors.As(err, &ae) {
			t.Fatalf("TryAcquire: %v", err)
		}
		h := ae.Info.Blocker
		if h == nil || h.Service != "billing" || h.RequestID != "r1" || h.TraceParent != "00-a-b-01" || h.PID == 0 || h.Since.IsZero() {
			t.Errorf("holder %+v", h)
		}
		if !ae.Info.Contended || ae.Info.Position != 1 || ae.Info.RetryAfter == 0 {
			t.Errorf("info %+v", ae.Info)
		}
		free(t, k)
	})
}

func TestAWaitEndsAtOnceWithItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		k := get(t, l, "k")
		reason := errors.New("the client hung up")
		ctx, cancel := context.WithCancelCause(t.Context())
		r := begin(ctx, l, "k")
		synctest.Wait()
		// Redis does not answer anything from here on.
		p.via(func(operation, func() error) error { time.Sleep(10 * time.Second); return io.EOF })
		cancel(reason)
		synctest.Wait()
		if !r.done() || !errors.Is(r.err, context.Canceled) || !errors.Is(r.err, reason) {
			t.Errorf("%+v; want context.Canceled and its cause", r)
		}
		p.via(nil)
		free(t, k)
	})
}

// The grant and the end of the context may come in the same moment.
func TestALockThatWasGrantedToOneWhoLeftIsGivenBack(t *testing.T) {
	for range 20 { // either may be seen first
		inBubble(t, func(t *testing.T, b *bubble) {
			l, _ := b.locker()
			r := l.newRequest("k", time.Now())
			if err, _ := l.admit(t.Context(), r, nil); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if b.lease("k") == "" {
				t.Fatal("not granted")
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := l.await(ctx, r); !errors.Is(err, context.Canceled) {
				t.Fatalf("%v, want context.Canceled", err)
			}
			synctest.Wait()
			if got := b.lease("k"); got != "" {
				t.Errorf("the lease is still there: %q", got)
			}
		})
	}
}

func TestAProcessHasACapOverAllKeys(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		k := get(t, l, "k")
		l.mu.Lock()
		l.machine.MaxRequests = 0
		l.mu.Unlock()
		if _, err := l.Acquire(t.Context(), "k"); !errors.Is(err, ErrQueueFull) {
			t.Errorf("%v, want ErrQueueFull", err)
		}
		l.mu.Lock()
		l.machine.MaxRequests = maxProcessWaiters
		l.mu.Unlock()
		free(t, k)
	})
}

func TestNobodyWaitsForRedisLongerThanItsTimeout(t *testing.T) {
	for _, wait := range []time.Duration{0, 30 * time.Second} {
		t.Run(fmt.Sprint("Wait ", wait), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker()
				p.via(func(_ operation, call func() error) error {
					time.Sleep(20 * time.Second) // stopped
					return call()
				})
				start := time.Now()
				_, err := l.Acquire(t.Context(), "k", Wait(wait))
				if !errors.Is(err, ErrBackend) || time.Since(start) != backendTimeout {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				p.via(nil)
				elapse(time.Minute) // the late acquire is done, and undone
				if got := b.lease("k"); got != "" {
					t.Errorf("the lease is still there: %q", got)
				}
			})
		})
	}
}

// A wait survives an outage that is shorter than the timeout.
func TestAWaitSurvivesAShortOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(3 * time.Second))
		other, _ := b.locker()
		k := get(t, other, "k")
		r := begin(t.Context(), l, "k")
		synctest.Wait()
		p.via(func(operation, func() error) error { return io.EOF })
		elapse(2500 * time.Millisecond) // a poll is due at 1 s
		if r.done() {
			t.Fatalf("gave up: %v", r.err)
		}
		p.via(nil)
		elapse(time.Second)
		free(t, k)
		synctest.Wait()
		if !r.done() || r.err != nil {
			t.Fatalf("%+v", r)
		}
		free(t, r.lock)
	})
}

func TestAWaitEndsWithALongOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(3 * time.Second))
		other, _ := b.locker()
		k := get(t, other, "k")
		r := begin(t.Context(), l, "k")
		synctest.Wait()
		p.via(func(operation, func() error) error { return io.EOF })
		elapse(5 * time.Second)
		if !r.done() || !errors.Is(r.err, ErrBackend) || !errors.Is(r.err, io.EOF) {
			t.Fatalf("%+v, want ErrBackend with its cause", r)
		}
		p.via(nil)
		elapse(10 * time.Second)
		free(t, k)
		elapse(time.Second)
		for _, name := range b.srv.Keys() {
			if name[len(name)-5:] != "fence" {
				t.Errorf("left: %s", name)
			}
		}
	})
}

// What ended the wait is told by what is known at its end.
func TestAWaitThatEndsWhileRedisIsSilentIsNotPutDownToTheHolder(t *testing.T) {
	for name, fault := range map[string]func() error{
		"errors":  func() error { return io.EOF },
		"silence": func() error { time.Sleep(10 * time.Second); return io.EOF },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker(TTL(3 * time.Second)) // a poll after 1 s
				other, _ := b.locker()
				k := get(t, other, "k")
				r := begin(t.Context(), l, "k", Wait(1900*time.Millisecond))
				synctest.Wait()
				p.via(func(operation, func() error) error { return fault() })
				elapse(1900 * time.Millisecond)
				if !r.done() || !errors.Is(r.err, ErrBackend) || errors.Is(r.err, ErrWaitTimeout) {
					t.Errorf("%v, want ErrBackend", r.err)
				}
				p.via(nil)
				elapse(20 * time.Second)
				free(t, k)
			})
		})
	}
}

func TestWithMaxWaitersZeroNobodyWaitsForAnotherProcessEither(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		other, _ := b.locker()
		k := get(t, other, "k")
		start := time.Now()
		if _, err := l.Acquire(t.Context(), "k", MaxWaiters(0)); !errors.Is(err, ErrQueueFull) || time.Since(start) > 0 {
			t.Errorf("%v after %v, want ErrQueueFull at once", err, time.Since(start))
		}
		free(t, k)
		free(t, get(t, l, "k", MaxWaiters(0)))
	})
}
