package core

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestReleaseIsDetachedFromItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		ctx, cancel := context.WithCancel(t.Context())
		k, err := l.Acquire(ctx, "k")
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := k.Release(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Release: %v, want it to match the context's error", err)
		}
		synctest.Wait()
		if b.lease("k") != "" {
			t.Error("not released")
		}
	})
}

// The lock's own context ends with the release, and with it those derived from it.
// What else ends them bounds the wait for the answer nonetheless.
func TestAReleaseWithTheLocksOwnContextEndsWithItsRequestOrItsDeadline(t *testing.T) {
	for name, tt := range map[string]struct {
		derive func(held context.Context) (context.Context, context.CancelFunc)
		hangUp time.Duration // of the request
		want   error
		after  time.Duration
	}{
		"its own":                   {context.WithCancel, time.Hour, ErrBackend, backendTimeout},
		"the request ends":          {context.WithCancel, 100 * time.Millisecond, context.Canceled, 100 * time.Millisecond},
		"its deadline passes":       {within(50 * time.Millisecond), 100 * time.Millisecond, context.DeadlineExceeded, 50 * time.Millisecond},
		"the request's end ignored": {detached(time.Hour), 100 * time.Millisecond, ErrBackend, backendTimeout},
		"a deadline of its own":     {detached(50 * time.Millisecond), time.Hour, context.DeadlineExceeded, 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker()
				request, hangUp := context.WithCancel(t.Context())
				defer hangUp()
				k, err := l.Acquire(request, "k")
				if err != nil {
					t.Fatal(err)
				}
				p.via(func(operation, func() error) error { time.Sleep(5 * time.Second); return io.EOF })
				ctx, cancel := tt.derive(k.Context())
				defer cancel()
				time.AfterFunc(tt.hangUp, hangUp)
				start := time.Now()
				if err := k.Release(ctx); !errors.Is(err, tt.want) || time.Since(start) != tt.after {
					t.Errorf("Release: %v after %v; want %v after %v", err, time.Since(start), tt.want, tt.after)
				}
				p.via(nil)
				elapse(2 * time.Hour)
			})
		})
	}
}

// within derives a context that ends in d.
func within(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, d) }
}

// detached derives one that ends in d only.
func detached(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(context.WithoutCancel(ctx), d)
	}
}

func TestAnUnansweredReleaseIsRepeatedUntilItIsAnswered(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		k := get(t, l, "k")
		p.via(func(operation, func() error) error { return io.EOF })
		if err := k.Release(t.Context()); !errors.Is(err, ErrBackend) || !errors.Is(err, io.EOF) {
			t.Errorf("Release: %v, want ErrBackend with its cause", err)
		}
		elapse(3 * time.Second)
		if p.count("cancel") < 3 {
			t.Errorf("repeated %d times in 3 s", p.count("cancel"))
		}
		p.via(nil)
		elapse(time.Second)
		if b.lease("k") != "" {
			t.Error("not released")
		}
		n := p.count("cancel")
		elapse(time.Minute)
		if p.count("cancel") != n {
			t.Error("repeated after the answer")
		}
	})
}

func TestAReleaseThatIsNeverAnsweredIsGivenUpWhenTheLeaseHasExpired(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(2 * time.Second))
		k := get(t, l, "k")
		p.via(func(operation, func() error) error { return io.EOF })
		k.returnUnused()
		elapse(10 * time.Second)
		n := p.count("cancel")
		elapse(time.Minute)
		if n == 0 || p.count("cancel") != n {
			t.Errorf("%d cancels, then %d", n, p.count("cancel"))
		}
		p.via(nil)
	})
}

// The lease may be another's by then; what matters is who comes next here.
func TestAfterALostLeaseTheNextInLineAsksAnew(t *testing.T) {
	for name, spoil := range map[string]func(b *bubble){
		"another has it": func(b *bubble) { b.plant("k", foreign()) },
		"it is gone":     func(b *bubble) { b.srv.FlushAll() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				tagOf(b, "k") // before there are waiters
				l, p := b.locker(TTL(time.Hour), Tenure(0))
				warm(t, l)
				k := get(t, l, "k")
				next := begin(t.Context(), l, "k", TTL(time.Hour), Wait(2*time.Hour))
				synctest.Wait()
				spoil(b)
				asks := p.count("acquire")
				if err := k.Release(t.Context()); !errors.Is(err, ErrLost) {
					t.Errorf("Release: %v, want ErrLost", err)
				}
				synctest.Wait()
				if name == "another has it" {
					if p.count("acquire") != asks+1 || next.done() {
						t.Fatalf("asked %d times, next %+v", p.count("acquire")-asks, next)
					}
					elapse(time.Minute + time.Second) // until the other's has expired
				}
				if !next.done() || next.err != nil {
					t.Fatalf("next: %+v", next)
				}
				free(t, next.lock)
			})
		})
	}
}

// The reply of a release that queued the next one is lost: the release was
// done, and the next one's lease or place must be found again.
func TestALostReplyOfAReleaseLosesNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(Tenure(0))
		warm(t, l)
		k := get(t, l, "k")
		next := begin(t.Context(), l, "k")
		synctest.Wait()
		p.via(func(op operation, call func() error) error {
			err := call()
			if op.kind == "release" {
				return io.EOF
			}
			return err
		})
		if err := k.Release(t.Context()); !errors.Is(err, ErrBackend) {
			t.Errorf("Release: %v, want ErrBackend", err)
		}
		p.via(nil)
		synctest.Wait()
		if !next.done() || next.err != nil || next.lock.Token() <= k.Token() {
			t.Fatalf("next: %+v", next)
		}
		elapse(time.Second)
		if next.lock.Context().Err() != nil || b.lease("k") == "" {
			t.Errorf("ended by the repeated release: %v", context.Cause(next.lock.Context()))
		}
		free(t, next.lock)
	})
}

func TestTheNextInLineHereComesAfterThoseWhoWaitElsewhere(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		here, _ := b.locker(Tenure(0))
		there, _ := b.locker(Tenure(0))
		warm(t, here)
		warm(t, there)
		k := get(t, here, "k")
		var order []string
		line := func(l *RedisLocker, name string) {
			go func() {
				k, err := l.Acquire(t.Context(), "k")
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, name)
				time.Sleep(time.Millisecond)
				if err := k.Release(t.Context()); err != nil {
					t.Errorf("%s: Release: %v", name, err)
				}
			}()
			synctest.Wait()
		}
		line(here, "here 1")
		line(here, "here 2")
		line(there, "there 1")
		line(there, "there 2")
		free(t, k)
		elapse(time.Second)
		// Process by process: each has one entry in the queue.
		want := []string{"there 1", "here 1", "there 2", "here 2"}
		if len(order) != 4 || order[0] != want[0] || order[1] != want[1] || order[2] != want[2] || order[3] != want[3] {
			t.Errorf("order %v, want %v", order, want)
		}
	})
}

// Without a subscription there is no place in line that can be granted.
func TestTheNextInLineIsServedAlsoBeforeTheSubscriptionIsConfirmed(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		k := get(t, l, "k")
		l.mu.Lock()
		l.listener = closedListener(l) // subscribes, and never hears
		l.mu.Unlock()
		next := begin(t.Context(), l, "k")
		synctest.Wait()
		free(t, k)
		synctest.Wait()
		if !next.done() || next.err != nil {
			t.Fatalf("next: %+v", next)
		}
		free(t, next.lock)
	})
}

func TestNobodyIsQueuedWhoCouldNotHearOfItsGrant(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker(Tenure(0))
		other, _ := b.locker()
		warm(t, other)
		k := get(t, l, "k")
		l.mu.Lock()
		l.listener = closedListener(l) // subscribes, and never hears
		l.mu.Unlock()
		elsewhere := begin(t.Context(), other, "k")
		synctest.Wait()
		next := begin(t.Context(), l, "k")
		synctest.Wait()
		free(t, k)
		synctest.Wait()
		if !elsewhere.done() || elsewhere.err != nil {
			t.Fatalf("elsewhere: %+v", elsewhere)
		}
		for _, name := range b.srv.Keys() {
			if members, err := b.srv.ZMembers(name); err == nil {
				t.Errorf("queued: %q", members)
			}
		}
		free(t, elsewhere.lock)
		elapse(5 * time.Second) // its poll
		if !next.done() || next.err != nil {
			t.Fatalf("next: %+v", next)
		}
		free(t, next.lock)
	})
}
