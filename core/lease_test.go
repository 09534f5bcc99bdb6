package core

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

func TestALeaseIsRenewedForAsLongAsItIsHeld(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(3 * time.Second))
		k := get(t, l, "k")
		elapse(time.Minute)
		if k.Context().Err() != nil || k.Remaining() < time.Second {
			t.Fatalf("after a minute: %v, %v remaining", context.Cause(k.Context()), k.Remaining())
		}
		// At a third of the TTL, and not more often.
		if n := p.count("renew"); n < 55 || n > 61 {
			t.Errorf("%d renewals in a minute, want 60", n)
		}
		free(t, k)
		n := p.count("renew")
		elapse(time.Minute)
		if p.count("renew") != n {
			t.Error("renewed after the release")
		}
	})
}

// An error says nothing about the lease.
func TestARenewalThatFailsIsTriedAgainUntilTheDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(3 * time.Second))
		k := get(t, l, "k")
		p.via(func(op operation, call func() error) error {
			if op.kind == "renew" {
				return io.EOF
			}
			return call()
		})
		elapse(2500 * time.Millisecond)
		if k.Context().Err() != nil || p.count("renew") < 4 {
			t.Fatalf("%v after %d renewals", context.Cause(k.Context()), p.count("renew"))
		}
		p.via(nil)
		elapse(time.Minute)
		if k.Context().Err() != nil {
			t.Errorf("lost although renewals work again: %v", context.Cause(k.Context()))
		}
		free(t, k)
	})
}

func TestTheHolderIsStoppedExactlyWhenItsValidityEnds(t *testing.T) {
	faults := map[string]func(call func() error) error{
		"errors":  func(func() error) error { return io.EOF },
		"silence": func(func() error) error { time.Sleep(time.Minute); return io.EOF },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker(TTL(3 * time.Second))
				start := time.Now()
				k := get(t, l, "k")
				p.via(func(op operation, call func() error) error { return fault(call) })
				<-k.Context().Done()
				// 1 % and 2 ms before the TTL is over.
				if d, want := time.Since(start), 2968*time.Millisecond; d != want {
					t.Errorf("stopped after %v, want %v", d, want)
				}
				if cause := context.Cause(k.Context()); !errors.Is(cause, ErrLost) || k.Remaining() != 0 {
					t.Errorf("cause %v, %v remaining", cause, k.Remaining())
				}
				p.via(nil)
				elapse(2 * time.Minute)
			})
		})
	}
}

// One renewal that is stuck must not keep others from the server.
func TestAStuckRenewalDoesNotLoseTheLease(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(3 * time.Second))
		k := get(t, l, "k")
		stuck := make(chan struct{})
		var first atomic.Bool
		p.via(func(op operation, call func() error) error {
			if op.kind == "renew" && first.CompareAndSwap(false, true) {
				<-stuck
			}
			return call()
		})
		elapse(time.Minute)
		if k.Context().Err() != nil {
			t.Errorf("lost: %v", context.Cause(k.Context()))
		}
		close(stuck)
		free(t, k)
	})
}

func TestALeaseThatRedisNoLongerHasIsLostAtTheNextRenewal(t *testing.T) {
	for name, spoil := range map[string]func(b *bubble){
		"gone":      func(b *bubble) { b.srv.FlushAll() },
		"another's": func(b *bubble) { b.plant("k", foreign()) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				tagOf(b, "k")
				l, _ := b.locker(TTL(3 * time.Second))
				k := get(t, l, "k")
				spoil(b)
				before := b.lease("k")
				elapse(time.Second + time.Millisecond)
				if cause := context.Cause(k.Context()); !errors.Is(cause, ErrLost) {
					t.Errorf("cause %v, want ErrLost", cause)
				}
				if b.lease("k") != before {
					t.Errorf("the renewal wrote a lease: %q", b.lease("k"))
				}
			})
		})
	}
}

// The line behind a lost lease does not share its fate.
func TestTheLineBehindALostLeaseGoesBackToRedis(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(3 * time.Second))
		k := get(t, l, "k")
		next := begin(t.Context(), l, "k")
		synctest.Wait()
		p.via(func(op operation, call func() error) error {
			if op.kind == "renew" {
				return io.EOF
			}
			return call()
		})
		<-k.Context().Done() // and never releases
		elapse(40 * time.Millisecond)
		if !next.done() || next.err != nil {
			t.Fatalf("next: %+v", next)
		}
		if next.lock.Token() <= k.Token() {
			t.Errorf("token %d after %d", next.lock.Token(), k.Token())
		}
		p.via(nil)
		if err := k.Release(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("Release: %v, want ErrLost", err)
		}
		synctest.Wait()
		if backend.Entry(b.lease("k")).ID() != next.lock.entry.wire.ID() {
			t.Error("the late release took the lease from the next holder")
		}
		free(t, next.lock)
	})
}

func TestMaxHoldStopsTheHolderAndLetsTheLeaseExpire(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker(TTL(3*time.Second), MaxHold(10*time.Second))
		k := get(t, l, "k")
		next := begin(t.Context(), l, "k", Wait(time.Minute))
		elapse(9999 * time.Millisecond)
		if k.Context().Err() != nil {
			t.Fatalf("stopped early: %v", context.Cause(k.Context()))
		}
		elapse(2 * time.Millisecond)
		if cause := context.Cause(k.Context()); !errors.Is(cause, ErrMaxHold) {
			t.Fatalf("cause %v, want ErrMaxHold", cause)
		}
		if next.done() || b.lease("k") == "" {
			t.Fatal("somebody else is in while the holder may still be at work")
		}
		elapse(3*time.Second + 50*time.Millisecond) // a hung holder: one more TTL
		if !next.done() || next.err != nil {
			t.Fatalf("next: %+v", next)
		}
		free(t, next.lock)
	})
}
