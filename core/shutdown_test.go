package core

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// shut is a Shutdown in the background.
type shut struct {
	err  error
	done chan struct{}
}

func beginShutdown(ctx context.Context, l *RedisLocker) *shut {
	s := &shut{done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.err = l.Shutdown(ctx)
	}()
	synctest.Wait()
	return s
}

func (s *shut) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// goroutines returns the stacks of those that Lockers in a bubble have started.
// There is only one bubble at a time.
func goroutines() []string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var own []string
	for _, g := range strings.Split(string(buf), "\n\n") {
		_, creator, _ := strings.Cut(g, "created by ")
		if strings.Contains(g, "synctest bubble") && strings.Contains(creator, "/latchkey/core/internal/") {
			own = append(own, g)
		}
	}
	return own
}

func TestAfterAShutdownNothingIsLeftOfTheLocker(t *testing.T) {
	uses := map[string]func(t *testing.T, b *bubble, l *RedisLocker){
		"never used": func(*testing.T, *bubble, *RedisLocker) {},
		"used":       func(t *testing.T, _ *bubble, l *RedisLocker) { free(t, get(t, l, "k")) },
		"a release not awaited": func(t *testing.T, _ *bubble, l *RedisLocker) {
			if err := l.Do(t.Context(), "k", func(context.Context) error { return nil }); err != nil {
				t.Error(err)
			}
		},
		"subscribed": func(t *testing.T, _ *bubble, l *RedisLocker) { warm(t, l) },
		"waited": func(t *testing.T, b *bubble, l *RedisLocker) {
			other, _ := b.locker()
			k := get(t, other, "k")
			r := begin(t.Context(), l, "k")
			synctest.Wait()
			free(t, k)
			synctest.Wait()
			free(t, r.lock)
			if err := other.Close(); err != nil {
				t.Error(err)
			}
		},
		"waits": func(t *testing.T, b *bubble, l *RedisLocker) {
			other, _ := b.locker()
			k := get(t, other, "k")
			r := begin(t.Context(), l, "k")
			synctest.Wait()
			beginShutdown(t.Context(), l)
			if !errors.Is(r.err, ErrClosed) {
				t.Errorf("the waiter: %v", r.err)
			}
			free(t, k)
			if err := other.Close(); err != nil {
				t.Error(err)
			}
		},
	}
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, _ := b.locker()
				use(t, b, l)
				start := time.Now()
				if err := l.Shutdown(t.Context()); err != nil || time.Since(start) != 0 {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				synctest.Wait()
				if left := goroutines(); len(left) > 0 {
					t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
				}
				if names := slices.DeleteFunc(b.srv.Keys(), func(n string) bool { return strings.HasSuffix(n, ":fence") }); len(names) > 0 {
					t.Errorf("left in Redis: %q", names)
				}
			})
		})
	}
}

func TestAShutdownRefusesWhoAsksAndWhoWaitsAndLetsHoldersFinish(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker(TTL(3 * time.Second))
		elsewhere, _ := b.locker()
		k := get(t, l, "here")
		there := get(t, elsewhere, "there")
		waiters := []*result{begin(t.Context(), l, "here"), begin(t.Context(), l, "here"), begin(t.Context(), l, "there")}
		synctest.Wait()

		s := beginShutdown(t.Context(), l)
		for i, w := range waiters {
			if !w.done() || !errors.Is(w.err, ErrClosed) {
				t.Errorf("waiter %d: %+v", i, w)
			}
		}
		for _, key := range []string{"here", "new"} {
			if _, err := l.Acquire(t.Context(), key); !errors.Is(err, ErrClosed) {
				t.Errorf("who asks for %q: %v, want ErrClosed", key, err)
			}
		}
		elapse(time.Minute) // which takes renewals
		if s.over() || k.Context().Err() != nil || k.Remaining() <= 0 {
			t.Fatalf("the holder was not let finish: %v", context.Cause(k.Context()))
		}
		free(t, k)
		synctest.Wait()
		if !s.over() || s.err != nil {
			t.Errorf("Shutdown is over: %v, %v", s.over(), s.err)
		}
		if b.lease("here") != "" {
			t.Error("not released")
		}
		free(t, there)
		synctest.Wait()
		if b.lease("there") != "" {
			t.Error("granted to a Locker that is gone")
		}
	})
}

func TestAShutdownCutsOffHoldersWhenItsContextEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		r := &recorder{}
		l, _ := b.locker(WithObserver(r))
		plain := unobserved{l}
		hung, other := get(t, plain, "hung"), get(t, plain, "other")
		seen, err := l.Acquire(t.Context(), "seen")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		s := beginShutdown(ctx, l)
		elapse(4 * time.Second)
		free(t, other)
		if s.over() || hung.Context().Err() != nil {
			t.Fatal("cut off early")
		}
		elapse(time.Second)
		if !s.over() || !errors.Is(s.err, context.DeadlineExceeded) || !strings.Contains(s.err.Error(), "cut off: 2") {
			t.Errorf("over: %v, %v", s.over(), s.err)
		}
		for _, k := range []Lock{hung, seen} {
			cause := context.Cause(k.Context())
			if !errors.Is(cause, ErrLost) || !errors.Is(cause, ErrClosed) || k.Remaining() != 0 || b.lease(k.Key()) != "" {
				t.Errorf("%s: cause %v, %v remaining, lease %q", k.Key(), cause, k.Remaining(), b.lease(k.Key()))
			}
		}
		r.only(t, 5*time.Second, ErrLost)
		// The next is in before the last is done, and is not disturbed by it.
		next, _ := b.locker()
		k := get(t, next, "hung")
		if err := hung.Release(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("Release: %v, want ErrLost", err)
		}
		elapse(time.Minute)
		if k.Context().Err() != nil {
			t.Errorf("the next: %v", context.Cause(k.Context()))
		}
		free(t, k)
	})
}

func TestAGuardWhoseHolderIsCutOffSaysLost(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			err = l.Do(t.Context(), "k", func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			})
		}()
		synctest.Wait()
		if err := l.Close(); err == nil {
			t.Error("Close does not tell")
		}
		<-done
		if denied(t, err, ReasonLost); !errors.Is(err, ErrLost) {
			t.Error(err)
		}
	})
}

func TestASecondShutdownWaitsForTheFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		k := get(t, l, "k")
		calls := []*shut{beginShutdown(t.Context(), l), beginShutdown(t.Context(), l), beginShutdown(t.Context(), l)}
		for i, s := range calls {
			if s.over() {
				t.Errorf("call %d did not wait", i)
			}
		}
		free(t, k)
		synctest.Wait()
		for i, s := range calls {
			if !s.over() || s.err != nil {
				t.Errorf("call %d: over %v, %v", i, s.over(), s.err)
			}
		}
	})
}

func TestCloseIsIdempotentAndWhatComesAfterIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		free(t, get(t, l, "k"))
		sent := len(p.seen)
		for range 3 {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := l.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		run := func(context.Context) error { t.Error("it ran"); return nil }
		_, acquire := l.Acquire(t.Context(), "k")
		_, try := l.TryAcquire(t.Context(), "k")
		for name, err := range map[string]error{"Acquire": acquire, "TryAcquire": try, "Do": l.Do(t.Context(), "k", run)} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%s: %v, want ErrClosed", name, err)
			}
		}
		denied(t, l.Do(t.Context(), "k", run), ReasonShuttingDown)
		if len(p.seen) != sent {
			t.Error("something was sent")
		}
	})
}

func TestManyMayShutDownWhileOthersCome(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		over := make(chan error, 40)
		for range 30 {
			go func() {
				for {
					err := l.Do(t.Context(), "k", func(ctx context.Context) error {
						time.Sleep(time.Millisecond)
						return ctx.Err()
					})
					if err != nil {
						over <- err
						return
					}
				}
			}()
		}
		elapse(50 * time.Millisecond)
		for range 10 {
			go func() { over <- l.Shutdown(ctx) }()
		}
		for range 40 {
			if err := <-over; err != nil && !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		}
		if b.lease("k") != "" {
			t.Error("not released")
		}
	})
}

// What was sent before the shutdown may be done after the cancel that overtook
// it: what it came to is still given back.
func TestAShutdownLeavesNoLeaseOfACallerWhoWasRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		p.via(func(op operation, call func() error) error {
			if op.kind == "acquire" {
				time.Sleep(100 * time.Millisecond)
			}
			return call()
		})
		r := begin(t.Context(), l, "k")
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !errors.Is(r.err, ErrClosed) {
			t.Errorf("Acquire: %v, want ErrClosed", r.err)
		}
		if got := b.lease("k"); got != "" {
			t.Errorf("the lease is still there: %q", got)
		}
	})
}
