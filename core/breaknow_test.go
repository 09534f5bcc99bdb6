package core

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// What it costs: the old holder runs on beside the new one until it is told.
func TestBreakNowOverlapsUntilTheNextRenewalOfTheOldHolder(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker(TTL(9 * time.Second))
		other, _ := b.locker()
		k := get(t, l, "k", WithMeta(Meta{RequestID: "old"}))
		next := begin(t.Context(), other, "k")
		synctest.Wait()
		lease, err := other.BreakNow(t.Context(), "k")
		if err != nil || lease.Holder.RequestID != "old" || lease.Broken || lease.Waiting != 1 {
			t.Fatalf("BreakNow: %+v, %v", lease, err)
		}
		synctest.Wait()
		if !next.done() || next.err != nil || next.lock.Info().Handoff != HandoffRemote || next.lock.Token() <= k.Token() {
			t.Fatalf("the next in line: %+v", next)
		}
		if p := next.lock.Info().Predecessor; p == nil || p.RequestID != "old" {
			t.Errorf("predecessor %+v", p)
		}
		wantCause(t, k, nil)
		if k.Remaining() <= 0 {
			t.Error("the old holder knows already: there is no overlap to be seen")
		}
		elapse(3*time.Second + time.Millisecond)
		wantCause(t, k, ErrLost)
		if err := k.Release(t.Context()); err != ErrLost {
			t.Errorf("Release: %v, want ErrLost", err)
		}
		elapse(time.Minute)
		wantCause(t, next.lock, nil)
		free(t, next.lock)
	})
}

func TestBreakNowIsToldAtOnceToAProcessThatListens(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		operator, _ := b.locker()
		warm(t, l)
		k := get(t, l, "k")
		behind := begin(t.Context(), l, "k")
		synctest.Wait()
		if _, err := operator.BreakNow(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		// It is lost, which is certain; that an operator did it is what the
		// message says.
		cause := context.Cause(k.Context())
		if !errors.Is(cause, ErrLost) || !errors.Is(cause, ErrBroken) || stopCause(k.Context()) != ErrLost {
			t.Errorf("cause %v", cause)
		}
		if !behind.done() || behind.err != nil || behind.lock.Token() <= k.Token() {
			t.Errorf("behind it: %+v", behind)
		}
		if err := k.Release(t.Context()); err != ErrLost {
			t.Errorf("Release: %v, want ErrLost", err)
		}
		synctest.Wait()
		wantCause(t, behind.lock, nil)
		free(t, behind.lock)
	})
}

func TestBreakNowOfABrokenLeaseDoesNotWaitForItsHolder(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		operator, _ := b.locker()
		warm(t, l)
		k := get(t, l, "k")
		lease := breakIt(t, operator, "k")
		synctest.Wait()
		wantCause(t, k, ErrBroken)
		was, err := operator.BreakNow(t.Context(), "k", OnlyLease(lease.ID))
		if err != nil || !was.Broken || was.ID != lease.ID {
			t.Fatalf("%+v, %v", was, err)
		}
		next := get(t, operator, "k", Wait(0))
		if next.Token() <= k.Token() {
			t.Errorf("tokens %d, %d", k.Token(), next.Token())
		}
		if err := k.Release(t.Context()); err != ErrLost {
			t.Errorf("Release: %v, want ErrLost", err)
		}
		free(t, next)
	})
}

// Repeated because its answer was lost, it would else take the lock from the next.
func TestABreakThatIsRepeatedBreaksOneLease(t *testing.T) {
	for name, atOnce := range map[string]bool{"Break": false, "BreakNow": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, _ := b.locker()
				other, _ := b.locker()
				operator, p := b.repeating(1)
				warm(t, l)
				k := get(t, l, "k")
				next := begin(t.Context(), other, "k")
				synctest.Wait()
				attempts := 0
				p.via(func(op operation, call func() error) error {
					if op.kind != "break_lease" {
						return call()
					}
					err := call()
					if attempts++; attempts == 1 {
						if !atOnce {
							k.returnUnused()
						}
						time.Sleep(time.Millisecond)
						return io.EOF
					}
					return err
				})
				call := operator.Break
				if atOnce {
					call = operator.BreakNow
				}
				lease, err := call(t.Context(), "k")
				if err != nil || lease.ID != string(k.entry.wire.ID()) || attempts != 2 {
					t.Errorf("%+v, %v after %d attempts", lease, err, attempts)
				}
				synctest.Wait()
				if !next.done() || next.err != nil {
					t.Fatalf("the next in line: %+v", next)
				}
				elapse(time.Minute)
				wantCause(t, next.lock, nil)
				free(t, next.lock)
				_ = k.Release(ended)
			})
		})
	}
}
