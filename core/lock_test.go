package core

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

func TestTheContextOfALockIsOneForAllWhoAsk(t *testing.T) {
	for range 200 {
		type key struct{}
		k := &lock{parent: context.WithValue(t.Context(), key{}, "parent's")}
		contexts := make(chan context.Context, 8)
		for range cap(contexts) {
			go func() { contexts <- k.Context() }()
		}
		go k.stop(ErrLost)
		first := <-contexts
		for range cap(contexts) - 1 {
			if ctx := <-contexts; ctx != first {
				t.Fatal("there are two")
			}
		}
		<-first.Done()
		if cause := context.Cause(first); !errors.Is(cause, ErrLost) || first.Value(key{}) != "parent's" {
			t.Errorf("cause %v, value %v", cause, first.Value(key{}))
		}
	}
}

// Also if it is asked for only then.
func TestTheContextOfALockThatHasEndedTellsWhy(t *testing.T) {
	gone := errors.New("the client hung up")
	for name, tt := range map[string]struct {
		end  func(t *testing.T, k *lock, p *path, hangUp context.CancelCauseFunc)
		want error
	}{
		"released": {func(t *testing.T, k *lock, p *path, _ context.CancelCauseFunc) { free(t, k) }, ErrReleased},
		"lost": {func(t *testing.T, k *lock, p *path, _ context.CancelCauseFunc) {
			p.via(severed)
			elapse(3 * time.Second)
		}, ErrLost},
		"lost, and released": {func(t *testing.T, k *lock, p *path, _ context.CancelCauseFunc) {
			p.via(severed)
			elapse(3 * time.Second)
			_ = k.Release(t.Context())
		}, ErrLost},
		"overstayed": {func(t *testing.T, k *lock, p *path, _ context.CancelCauseFunc) {
			elapse(2 * time.Second)
		}, ErrMaxHold},
		"overstayed, and lost": {func(t *testing.T, k *lock, p *path, _ context.CancelCauseFunc) {
			elapse(10 * time.Second)
		}, ErrMaxHold},
		"cut off": {func(t *testing.T, k *lock, p *path, _ context.CancelCauseFunc) { k.locker.Close() }, ErrClosed},
		"the request ended": {func(t *testing.T, k *lock, p *path, hangUp context.CancelCauseFunc) {
			hangUp(gone)
		}, gone},
		"the request ended, then the lock": {func(t *testing.T, k *lock, p *path, hangUp context.CancelCauseFunc) {
			hangUp(gone)
			free(t, k)
		}, gone},
	} {
		for _, early := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				inBubble(t, func(t *testing.T, b *bubble) {
					l, p := b.locker(TTL(3*time.Second), MaxHold(2*time.Second))
					if tt.want == ErrLost {
						l.settings.MaxHold = 0
					}
					ctx, hangUp := context.WithCancelCause(t.Context())
					defer hangUp(nil)
					acquired, err := l.Acquire(ctx, "k")
					if err != nil {
						t.Fatal(err)
					}
					k := acquired.(*lock)
					if early && k.Context().Err() != nil {
						t.Error("it has ended before")
					}
					tt.end(t, k, p, hangUp)
					if c := k.Context(); c.Err() == nil || !errors.Is(context.Cause(c), tt.want) {
						t.Errorf("asked for early: %v; %v, want %v", early, context.Cause(c), tt.want)
					}
					p.via(nil)
				})
			})
		}
	}
}

// ends counts what a watcher is told.
type ends struct {
	n     atomic.Int32
	cause atomic.Value
}

func (e *ends) stopped(cause error) {
	e.n.Add(1)
	e.cause.Store(cause)
}

func (e *ends) renewed(error) {}

func TestTheEndOfAHoldIsToldOnceWhicheverComesFirst(t *testing.T) {
	for range 500 {
		synctest.Test(t, func(t *testing.T) {
			k, w := &lock{parent: context.Background(), locker: &RedisLocker{backend: &backend.Backend{}}}, &ends{}
			go k.watch(w)
			go k.stop(ErrLost)
			go k.Context()
			synctest.Wait()
			k.stop(ErrReleased)
			synctest.Wait()
			if n := w.n.Load(); n != 1 || w.cause.Load() != ErrLost {
				t.Fatalf("told %d times, %v", n, w.cause.Load())
			}
			if cause := context.Cause(k.Context()); cause != ErrLost {
				t.Fatalf("cause %v", cause)
			}
		})
	}
}

// The holder's function may return with the loss; its observer hears of the loss.
func TestALossInATenureIsToldToEachHoldersObserverOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		r := &recorder{}
		l, p := b.locker(TTL(3*time.Second), WithObserver(r))
		var line []*result
		for range 3 {
			res := &result{}
			line = append(line, res)
			go func() {
				k, err := l.Acquire(t.Context(), "k")
				if err != nil {
					t.Error(err)
					return
				}
				res.lock = k.(*observedLock).Lock.(*lock)
				res.over.Store(true)
				<-k.Context().Done()
				if err := k.Release(context.WithoutCancel(t.Context())); !errors.Is(err, ErrLost) {
					t.Errorf("Release: %v, want ErrLost", err)
				}
			}()
			synctest.Wait()
		}
		for i, res := range line {
			synctest.Wait()
			if !res.done() {
				t.Fatalf("holder %d never came", i)
			}
			entry := res.lock.entry.wire.ID()
			p.via(func(op operation, call func() error) error {
				if op.entry.ID() == entry && op.kind == "renew" {
					return errors.New("no renewals")
				}
				return call()
			})
			elapse(3*time.Second + 50*time.Millisecond)
			if ends := r.released(); len(ends) != i+1 || ends[i].Err != ErrLost {
				t.Errorf("ends %+v after the loss of holder %d", ends, i)
			}
		}
		p.via(nil)
		if line[2].lock.Token() <= line[1].lock.Token() || line[1].lock.Token() <= line[0].lock.Token() {
			t.Error("tokens fell")
		}
		elapse(time.Minute)
		if n := len(r.released()); n != 3 {
			t.Errorf("%d ends of 3 holds", n)
		}
	})
}

func TestContextAfterReleaseIsCancelledForAll(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		var bad atomic.Int32
		for range 600 {
			k := get(t, l, "k")
			free(t, k)
			var wg sync.WaitGroup
			start := make(chan struct{})
			for range 4 {
				wg.Go(func() {
					<-start
					if k.Context().Err() == nil {
						bad.Add(1)
					}
				})
			}
			close(start)
			wg.Wait()
		}
		if n := bad.Load(); n > 0 {
			t.Errorf("%d got a context that was not cancelled", n)
		}
	})
}

// A function may release its lock early, with the context that it runs under: its
// own end, which the release brings about, is not the caller's.
func TestALockCanBeReleasedWithItsOwnContext(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		r := &recorder{}
		l, _ := b.locker(WithObserver(r))
		for range 20 {
			err := l.Do(t.Context(), "k", func(ctx context.Context) error {
				k, _ := FromContext(ctx)
				child, cancel := context.WithCancel(ctx)
				defer cancel()
				return k.Release(child)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		if got := len(r.ends); got != 20 {
			t.Errorf("the observer heard of %d releases, want 20", got)
		}
	})
}
