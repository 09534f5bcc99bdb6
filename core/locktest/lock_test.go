package locktest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

func TestAHoldEnds(t *testing.T) {
	const ttl = 3 * time.Second
	for name, c := range map[string]struct {
		end     func(*locktest.Fake, core.Lock)
		cause   error // of the lock's context
		also    error
		left    time.Duration // of the lease
		held    bool          // until Release
		release error
	}{
		"by Release": {
			end:   func(_ *locktest.Fake, l core.Lock) { _ = l.Release(context.Background()) },
			cause: core.ErrReleased, release: core.ErrReleased,
		},
		"by a Release whose context has ended": {
			end: func(_ *locktest.Fake, l core.Lock) {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				_ = l.Release(ctx)
			},
			cause: core.ErrReleased, release: core.ErrReleased,
		},
		"by Lose": {
			end:   func(f *locktest.Fake, _ core.Lock) { f.Lose(key) },
			cause: core.ErrLost, release: core.ErrLost,
		},
		"by Break, but the key is not free": {
			end:   func(f *locktest.Fake, _ core.Lock) { f.Break(key) },
			cause: core.ErrBroken, left: ttl, held: true, release: nil,
		},
		"by Break, and the key is free a TTL later": {
			end:   func(f *locktest.Fake, _ core.Lock) { f.Break(key); time.Sleep(ttl) },
			cause: core.ErrBroken, release: core.ErrLost,
		},
		"by MaxHold, but the key is not free": {
			end:   func(*locktest.Fake, core.Lock) { time.Sleep(time.Minute) },
			cause: core.ErrMaxHold, left: ttl, held: true, release: nil,
		},
		"by MaxHold, and the lease runs down": {
			end:   func(*locktest.Fake, core.Lock) { time.Sleep(time.Minute + time.Second) },
			cause: core.ErrMaxHold, left: ttl - time.Second, held: true, release: nil,
		},
		"by MaxHold, and the key is free a TTL later": {
			end:   func(*locktest.Fake, core.Lock) { time.Sleep(time.Minute + ttl) },
			cause: core.ErrMaxHold, release: core.ErrLost,
		},
		"by Close": {
			end:   func(f *locktest.Fake, _ core.Lock) { f.Close() },
			cause: core.ErrLost, also: core.ErrClosed, release: core.ErrLost,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := locktest.New()
				l := acquire(t, f, t.Context(), core.TTL(ttl), core.MaxHold(time.Minute))
				if err := l.Context().Err(); err != nil || l.Remaining() != ttl || l.Key() != key {
					t.Fatalf("at first: context %v, %v remaining, key %q", err, l.Remaining(), l.Key())
				}
				c.end(f, l)
				synctest.Wait()

				cause := context.Cause(l.Context())
				if !errors.Is(cause, c.cause) || c.also != nil && !errors.Is(cause, c.also) {
					t.Errorf("cause = %v; want %v, %v", cause, c.cause, c.also)
				}
				if got := l.Remaining(); got != c.left {
					t.Errorf("Remaining = %v; want %v", got, c.left)
				}
				if got := f.Held(key); got != c.held {
					t.Errorf("Held = %t; want %t", got, c.held)
				}
				if err := l.Release(context.Background()); !errors.Is(err, c.release) {
					t.Errorf("Release = %v; want %v", err, c.release)
				}
				if f.Held(key) || l.Remaining() != 0 {
					t.Errorf("after Release: held %t, %v remaining", f.Held(key), l.Remaining())
				}
				if err := l.Release(context.Background()); !errors.Is(err, core.ErrReleased) {
					t.Errorf("the last Release = %v; want ErrReleased", err)
				}
			})
		})
	}
}

func TestAHoldThatEndsLetsTheNextIn(t *testing.T) {
	for name, end := range map[string]func(*locktest.Fake, core.Lock){
		"Release": func(_ *locktest.Fake, l core.Lock) { _ = l.Release(context.Background()) },
		"Lose":    func(f *locktest.Fake, _ core.Lock) { f.Lose(key) },
		"MaxHold": func(*locktest.Fake, core.Lock) { time.Sleep(time.Second + core.DefaultSettings().TTL) },
		"Break":   func(f *locktest.Fake, _ core.Lock) { f.Break(key); time.Sleep(core.DefaultSettings().TTL) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := locktest.New()
				first := acquire(t, f, t.Context(), core.MaxHold(time.Second))
				next := inLine(f, t.Context())
				end(f, first)
				synctest.Wait()
				if !next.over() || next.err != nil {
					t.Fatalf("the next is granted: %t, %v", next.over(), next.err)
				}
				if next.lock.Token() <= first.Token() {
					t.Errorf("token %d after %d", next.lock.Token(), first.Token())
				}
				_ = first.Release(context.Background())
				if err := next.lock.Context().Err(); err != nil {
					t.Errorf("the release of the one before ended the next: %v", err)
				}
				release(t, next.lock)
			})
		})
	}
}

func TestAReleaseInTimeStopsTheClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := locktest.New()
		release(t, acquire(t, f, t.Context(), core.MaxHold(time.Second)))
		next := acquire(t, f, t.Context())
		time.Sleep(time.Hour)
		if err := next.Context().Err(); err != nil {
			t.Errorf("the one before's MaxHold ended the next: %v", err)
		}
		release(t, next)
	})
}

func TestALocksContextCarriesIt(t *testing.T) {
	f := locktest.New()
	type valueKey struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), valueKey{}, "v"))
	lock := acquire(t, f, ctx)
	if got, ok := core.FromContext(lock.Context()); !ok || got != lock {
		t.Errorf("FromContext = %v, %t; want the lock", got, ok)
	}
	if got := lock.Context().Value(valueKey{}); got != "v" {
		t.Errorf("a value of Acquire's context = %v; want v", got)
	}
	cancel()
	if err := lock.Context().Err(); !errors.Is(err, context.Canceled) || !f.Held(key) {
		t.Errorf("context: %v, held: %t; want it cancelled with Acquire's, and the key held until Release", err, f.Held(key))
	}
	release(t, lock)
}
