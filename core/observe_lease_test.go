package core

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// waits tells whether Waiting was called, and whether Acquired said so.
func (r *recorder) waits() (called, queued bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, call := range r.calls {
		called = called || call == "Waiting in Acquiring"
	}
	for _, o := range r.outcomes {
		queued = queued || o.Queued
	}
	return called, queued
}

func TestABeginningOfAWaitIsToldWhenItBegins(t *testing.T) {
	for _, c := range []struct {
		name string
		// who holds the key
		local, remote bool
		opts          []AcquireOption
		want          bool
	}{
		{name: "behind another of this process", local: true, want: true},
		{name: "behind another process", remote: true, want: true},
		{name: "a free key"},
		{name: "refused at once here", local: true, opts: []AcquireOption{Wait(0)}},
		{name: "refused at once by another process", remote: true, opts: []AcquireOption{Wait(0)}},
		{name: "no room in line", local: true, opts: []AcquireOption{MaxWaiters(0)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				r := &recorder{}
				l, _ := b.locker()
				other, _ := b.locker()
				var holder *lock
				switch {
				case c.local:
					holder = get(t, l, "k")
				case c.remote:
					holder = get(t, other, "k")
				}
				over := make(chan struct{})
				go func() {
					defer close(over)
					if k, err := Observe(l, r).Acquire(t.Context(), "k", c.opts...); err == nil {
						_ = k.Release(t.Context())
					}
				}()
				elapse(time.Second)
				if called, queued := r.waits(); called != c.want || queued {
					t.Errorf("told that it waits: %v, want %v; outcome with that: %v", called, c.want, queued)
				}
				if holder != nil {
					free(t, holder)
				}
				<-over
				if _, queued := r.waits(); queued != c.want {
					t.Errorf("the outcome says that it waited: %v, want %v", queued, c.want)
				}
			})
		})
	}
}

// panickyInLine is an observer with a bug that shows when a wait begins.
type panickyInLine struct{ NopObserver }

func (panickyInLine) Waiting(context.Context, Attempt) { panic("a bug") }

func TestARequestWhoseObserverPanicsIsNotGrantedTheLock(t *testing.T) {
	for _, where := range []string{"this process", "another process"} {
		t.Run(where, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, _ := b.locker()
				other, _ := b.locker()
				from := l
				if where == "another process" {
					from = other
				}
				holder := get(t, from, "k")
				func() {
					defer func() {
						if recover() == nil {
							t.Error("the panic was swallowed")
						}
					}()
					_, _ = Observe(l, panickyInLine{}).Acquire(t.Context(), "k")
				}()
				free(t, holder)
				elapse(time.Second)
				free(t, get(t, other, "k", Wait(0)))
			})
		})
	}
}

func TestRenewalsAreToldToTheHoldersObserver(t *testing.T) {
	gone := func(t *testing.T, b *bubble, _ *RedisLocker, _ *path) { b.srv.FlushAll() }
	broken := func(t *testing.T, b *bubble, _ *RedisLocker, _ *path) {
		operator, _ := b.locker()
		breakIt(t, operator, "k")
	}
	away := func(_ *testing.T, _ *bubble, _ *RedisLocker, p *path) { p.via(severed) }
	for _, c := range []struct {
		name   string
		happen func(*testing.T, *bubble, *RedisLocker, *path)
		want   error
	}{
		{"prolonged", nil, nil},
		{"gone", gone, ErrLost},
		{"broken", broken, ErrBroken},
		{"Redis away", away, errOfTheWay},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				inner, outer := &recorder{}, &recorder{}
				own, p := b.locker(TTL(9*time.Second), WithObserver(inner))
				l := Observe(own, outer)
				k, err := l.Acquire(t.Context(), "k")
				if err != nil {
					t.Fatal(err)
				}
				elapse(3500 * time.Millisecond) // renewed once
				if c.happen != nil {
					c.happen(t, b, own, p)
				}
				elapse(3 * time.Second)
				for _, r := range []*recorder{inner, outer} {
					r.mu.Lock()
					got := slices.Clone(r.renewals)
					r.mu.Unlock()
					if len(got) < 2 || got[0] != nil {
						t.Fatalf("renewals %v, want two or more, the first of them good", got)
					}
					switch second := got[1]; {
					case c.want == errOfTheWay && (second == nil || stopError(second) != nil):
						t.Errorf("the second: %v, want Redis's fault", second)
					case c.want != errOfTheWay && second != c.want:
						t.Errorf("the second: %v, want %v", second, c.want)
					}
				}
				p.via(nil)
				_ = k.Release(t.Context())
				synctest.Wait()
				for _, r := range []*recorder{inner, outer} {
					if n := len(r.released()); n != 1 {
						t.Errorf("%d ends, want 1", n)
					}
				}
			})
		})
	}
}

var errOfTheWay = errors.New("any error of the way to Redis")

func TestAnOutageAndItsEndAreToldOnceEach(t *testing.T) {
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				inner, outer := &recorder{}, &recorder{}
				l, p := b.locker(Prefix("shop"), WithObserver(inner))
				Observe(Observe(l, NopObserver{}), outer)
				free(t, mustOwn(t, l, "k"))
				heard := func(r *recorder) []Health {
					r.mu.Lock()
					defer r.mu.Unlock()
					return slices.Clone(r.healths)
				}
				if h := heard(inner); len(h) != 0 {
					t.Fatalf("told before anything happened: %+v", h)
				}
				inOutage(t, l, p, outage)
				elapse(10 * time.Second)
				for _, r := range []*recorder{inner, outer} {
					h := heard(r)
					if len(h) != 1 || h[0].Namespace != "shop" || h[0].Node != "127.0.0.1:6379" {
						t.Fatalf("told %+v, want one outage", h)
					}
					if _, ok := errors.AsType[*backend.DownError](h[0].Down); !ok {
						t.Errorf("down because of %v, want a *remote.DownError", h[0].Down)
					}
				}
				p.via(nil)
				elapse(10 * time.Second)
				for _, r := range []*recorder{inner, outer} {
					if h := heard(r); len(h) != 2 || h[1].Down != nil {
						t.Errorf("told %+v, want that it is back", h)
					}
				}
			})
		})
	}
}

// mustOwn is get for a Locker with an observer.
func mustOwn(t *testing.T, l Locker, key string) *lock {
	t.Helper()
	k, err := l.Acquire(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return ownLock(k)
}

// nosy is an observer that uses the Locker whenever it hears something.
type nosy struct{ use func() }

var _ Observer = nosy{}

func (o nosy) Acquiring(ctx context.Context, _ Attempt) context.Context { o.use(); return ctx }
func (o nosy) TraceParent(context.Context) string                       { o.use(); return "" }
func (o nosy) Waiting(context.Context, Attempt)                         { o.use() }
func (o nosy) Acquired(context.Context, Attempt, AcquireResult)         { o.use() }
func (o nosy) Released(context.Context, Attempt, HoldResult)            { o.use() }
func (o nosy) Renewed(context.Context, Attempt, error)                  { o.use() }
func (o nosy) HealthChanged(Health)                                     { o.use() }
func (o nosy) Holding(ctx context.Context, _ Attempt, _ Lock) context.Context {
	o.use()
	return ctx
}

// No lock of ours is held then: it would be for ever.
func TestAnObserverMayUseTheLockerItself(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		var l *RedisLocker
		var used atomic.Int32
		use := func() {
			used.Add(1)
			l.Snapshot()
			_, _ = l.Inspect(t.Context(), "k")
			if k, err := (unobserved{l}).Acquire(t.Context(), "observer's", Wait(0)); err == nil {
				_ = k.Release(t.Context())
			}
		}
		l, p := b.locker(TTL(3*time.Second), WithObserver(nosy{use}))
		first := mustOwn(t, l, "k")
		next := make(chan Lock, 1)
		go func() {
			k, _ := l.Acquire(t.Context(), "k")
			next <- k
		}()
		elapse(2 * time.Second) // renewed
		free(t, first)
		lock := <-next
		p.via(severed)
		<-lock.Context().Done()
		elapse(time.Second)
		p.via(nil)
		elapse(10 * time.Second)
		_ = lock.Release(t.Context())
		if n := used.Load(); n < 15 {
			t.Errorf("used %d times: not each call was made", n)
		}
	})
}
