package core

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// breakIt breaks the lease on key, which must be there.
func breakIt(t *testing.T, l *RedisLocker, key string, opts ...BreakOption) *LeaseInfo {
	t.Helper()
	lease, err := l.Break(t.Context(), key, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

// wantCause fails the test unless k was stopped for exactly this reason; nil is
// that it was not.
func wantCause(t *testing.T, k *lock, want error) {
	t.Helper()
	if got := context.Cause(k.Context()); got != want {
		t.Errorf("cause %v, want %v", got, want)
	}
}

// deafen ends l's subscription without its knowledge.
func deafen(l *RedisLocker) {
	l.mu.Lock()
	h := l.listener
	l.mu.Unlock()
	h.Close()
	synctest.Wait()
}

// A process that has never had to wait hears of nothing, but renews.
func TestABrokenHolderIsStoppedAtItsNextRenewal(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(9 * time.Second))
		operator, _ := b.locker()
		k := get(t, l, "k", WithMeta(Meta{RequestID: "r1"}))
		elapse(time.Second)
		lease := breakIt(t, operator, "k")
		if !lease.Broken || lease.Holder.RequestID != "r1" || lease.Key != "k" || lease.TTL != 8*time.Second {
			t.Errorf("%+v", lease)
		}
		elapse(1900 * time.Millisecond) // just before a third of the TTL
		wantCause(t, k, nil)
		elapse(110 * time.Millisecond)
		wantCause(t, k, ErrBroken)
		if left := k.Remaining(); left < 5*time.Second || left > 6*time.Second {
			t.Errorf("%v remaining, want that of the grant", left)
		}
		n := p.count("renew")
		free(t, k) // the lease is given back: nobody was in before
		if p.count("renew") != n || b.lease("k") != "" {
			t.Errorf("%d renewals more, lease %q", p.count("renew")-n, b.lease("k"))
		}
		if err := k.Release(t.Context()); err != ErrReleased {
			t.Errorf("a second Release: %v", err)
		}
	})
}

func TestABrokenHolderIsStoppedAtOnceIfItsProcessListens(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		operator, _ := b.locker()
		warm(t, l)
		k := get(t, l, "k")
		breakIt(t, operator, "k")
		synctest.Wait()
		wantCause(t, k, ErrBroken)
		free(t, k)
	})
}

// What the message says is asked for before it is believed.
func TestAMessageThatALeaseIsBrokenProvesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		k := get(t, l, "k")
		l.onBreakMessage(backend.Note{ID: k.entry.wire.ID(), Key: "k"})
		synctest.Wait()
		wantCause(t, k, nil)
		if p.count("renew") != 1 {
			t.Errorf("%d renewals, want one", p.count("renew"))
		}
		free(t, k)

		// Rule 1: a lease in the name of an entry that nobody has.
		e := forgotten(l)
		b.plant("k", e)
		l.onBreakMessage(backend.Note{ID: e.ID(), Key: "k"})
		synctest.Wait()
		if b.lease("k") != "" {
			t.Errorf("the lease of nobody is still there: %q", b.lease("k"))
		}
	})
}

func TestNobodyEntersBeforeABrokenHolderIsDone(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker(TTL(9 * time.Second))
		other, _ := b.locker(TTL(9 * time.Second))
		warm(t, l)
		k := get(t, l, "k")
		remoteWaiter := begin(t.Context(), other, "k")
		localWaiter := begin(t.Context(), l, "k")
		synctest.Wait()
		breakIt(t, other, "k")
		synctest.Wait()
		wantCause(t, k, ErrBroken)
		for range 70 { // polls, and more breaks
			elapse(100 * time.Millisecond)
			breakIt(t, other, "k")
			if remoteWaiter.done() || localWaiter.done() {
				t.Fatalf("in beside the broken holder: %+v, %+v", remoteWaiter, localWaiter)
			}
		}
		if _, err := other.TryAcquire(t.Context(), "k"); !errors.Is(err, ErrHeld) {
			t.Errorf("TryAcquire: %v, want ErrHeld", err)
		}
		token := k.Token()
		free(t, k)
		synctest.Wait()
		if !remoteWaiter.done() || remoteWaiter.err != nil || localWaiter.done() {
			t.Fatalf("after the release: %+v, %+v", remoteWaiter, localWaiter)
		}
		free(t, remoteWaiter.lock)
		synctest.Wait()
		if !localWaiter.done() || localWaiter.err != nil {
			t.Fatalf("after the next release: %+v", localWaiter)
		}
		if a, c := remoteWaiter.lock.Token(), localWaiter.lock.Token(); a <= token || c <= a {
			t.Errorf("tokens %d, %d, %d", token, a, c)
		}
		free(t, localWaiter.lock)
	})
}

// A holder that does not heed its context keeps the lock for one TTL.
func TestABrokenLeaseExpires(t *testing.T) {
	for _, who := range []string{"another process", "the same process"} {
		t.Run(who, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, _ := b.locker(TTL(9 * time.Second))
				other, _ := b.locker(TTL(9 * time.Second))
				warm(t, l)
				k := get(t, l, "k")
				from := other
				if who == "the same process" {
					from = l
				}
				r := begin(t.Context(), from, "k")
				elapse(2 * time.Second)
				breakIt(t, other, "k")
				elapse(6800 * time.Millisecond)
				wantCause(t, k, ErrBroken)
				if r.done() || k.Remaining() <= 0 {
					t.Fatalf("in after 8.8 of 9 s: %+v; %v remaining", r, k.Remaining())
				}
				elapse(250 * time.Millisecond)
				if !r.done() || r.err != nil {
					t.Fatalf("not in after the expiry: %+v", r)
				}
				if k.Remaining() != 0 || r.lock.Token() <= k.Token() {
					t.Errorf("%v remaining; tokens %d, %d", k.Remaining(), k.Token(), r.lock.Token())
				}
				wantCause(t, k, ErrBroken) // the first cause stays
				if err := k.Release(t.Context()); err != ErrLost {
					t.Errorf("Release: %v, want ErrLost: another has it", err)
				}
				synctest.Wait()
				wantCause(t, r.lock, nil)
				free(t, r.lock)
			})
		})
	}
}

// Until the process knows, it may pass the lease on among its own: who has it when
// it learns of it is stopped, and nobody gets it after that.
func TestABrokenLeaseIsNotPassedOnInItsProcess(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(9*time.Second), Tenure(MaxTenure))
		operator, _ := b.locker()
		k := get(t, l, "k")
		second := begin(t.Context(), l, "k")
		synctest.Wait()
		third := begin(t.Context(), l, "k")
		synctest.Wait()
		deafen(l) // the message is lost
		breakIt(t, operator, "k")
		elapse(time.Millisecond)
		n := p.count("renew")
		free(t, k)
		synctest.Wait()
		if p.count("renew") != n {
			t.Fatal("renewed at the handoff: there is nothing to be seen")
		}
		if !second.done() || second.lock.Info().Handoff != HandoffLocal {
			t.Fatalf("second: %+v", second)
		}
		wantCause(t, second.lock, nil)
		elapse(3*time.Second + time.Millisecond) // a third of the TTL
		wantCause(t, second.lock, ErrBroken)
		if third.done() {
			t.Fatalf("third: %+v", third)
		}
		free(t, second.lock)
		elapse(4 * time.Second) // a poll: nobody listens
		if !third.done() || third.err != nil || third.lock.entry == second.lock.entry {
			t.Fatalf("third: %+v", third)
		}
		wantCause(t, third.lock, nil)
		if third.lock.Token() <= second.lock.Token() || second.lock.Token() <= k.Token() {
			t.Errorf("tokens %d, %d, %d", k.Token(), second.lock.Token(), third.lock.Token())
		}
		free(t, third.lock)
	})
}
