package core

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// The grant came after the break, or was broken before it came: renewed at once or
// in a third of the TTL, it is stopped.
func TestALeaseThatIsBrokenBeforeItsGrantIsHeardStopsItsHolder(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(9 * time.Second))
		operator, _ := b.locker()
		free(t, get(t, l, "another")) // the server knows the script now
		p.via(func(op operation, call func() error) error {
			err := call()
			if op.kind == "acquire" {
				time.Sleep(1500 * time.Millisecond) // answered when it has been broken
			}
			return err
		})
		r := begin(t.Context(), l, "k")
		elapse(time.Second)
		breakIt(t, operator, "k")
		elapse(600 * time.Millisecond)
		if !r.done() || r.err != nil {
			t.Fatalf("%+v", r)
		}
		wantCause(t, r.lock, nil)
		elapse(1500 * time.Millisecond) // three after the request was sent
		wantCause(t, r.lock, ErrBroken)
		free(t, r.lock)
	})
}

// Its grant was lost, and then its lease broken: nothing runs under that.
func TestAnEntryThatIsBrokenBeforeItHearsIsGivenUpAndTheLineAsksAnew(t *testing.T) {
	for how, deaf := range map[string]bool{"by its poll": true, "by the message": false} {
		t.Run(how, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker(TTL(9 * time.Second))
				other, _ := b.locker(TTL(9 * time.Second))
				tagOf(b, "k")
				warm(t, l)
				k := get(t, other, "k")
				r := begin(t.Context(), l, "k")
				synctest.Wait()
				first := standing(l, "k")
				if deaf {
					deafen(l)
				}
				b.plant("k", "1"+first.wire[1:]) // as a release does, but no message
				breakIt(t, other, "k", OnlyLease(string(first.wire.ID())))
				if deaf {
					synctest.Wait()
					if r.done() {
						t.Fatalf("before its poll: %+v", r)
					}
					elapse(3 * time.Second)
					if !r.done() { // it has asked anew before its lease was given back
						elapse(3 * time.Second)
					}
				}
				synctest.Wait()
				if !r.done() || r.err != nil {
					t.Fatalf("%+v", r)
				}
				if known(l, first) || r.lock.entry == first || p.count("cancel") != 1 {
					t.Errorf("the broken entry is known: %v; %d cancels", known(l, first), p.count("cancel"))
				}
				wantCause(t, r.lock, nil)
				if got := backend.Entry(b.lease("k")); got.ID() != r.lock.entry.wire.ID() || got.Broken() {
					t.Errorf("lease %q", got)
				}
				free(t, r.lock)
				_ = k.Release(ended) // planted away
			})
		})
	}
}

// Renewals cross: the answer to one that was done before the break comes last.
func TestALateAnswerDoesNotReviveABrokenLease(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(9 * time.Second))
		operator, _ := b.locker()
		k := get(t, l, "k")
		first := true
		p.via(func(op operation, call func() error) error {
			err := call()
			if op.kind == "renew" && first {
				first = false
				time.Sleep(4 * time.Second)
			}
			return err
		})
		elapse(3500 * time.Millisecond)
		breakIt(t, operator, "k")
		elapse(3 * time.Second)
		wantCause(t, k, ErrBroken)
		elapse(time.Second) // the late answer
		n := p.count("renew")
		elapse(3800 * time.Millisecond)
		if p.count("renew") != n || k.Remaining() <= 0 {
			t.Errorf("%d renewals more; %v remaining of what was proven", p.count("renew")-n, k.Remaining())
		}
		elapse(time.Second)
		if k.Remaining() != 0 || b.lease("k") != "" {
			t.Errorf("%v remaining, lease %q", k.Remaining(), b.lease("k"))
		}
		wantCause(t, k, ErrBroken)
		if err := k.Release(t.Context()); err != ErrLost {
			t.Errorf("Release: %v, want ErrLost", err)
		}
	})
}

// Nothing has a broken lease renewed any more: neither who joins the line, nor
// another message, nor a renewal that failed.
func TestABrokenLeaseIsNotRenewed(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(9 * time.Second))
		operator, _ := b.locker()
		warm(t, l)
		k := get(t, l, "k")
		first := true
		p.via(func(op operation, call func() error) error {
			if op.kind == "renew" && first {
				first = false
				time.Sleep(2 * time.Second)
				return io.EOF
			}
			return call()
		})
		elapse(3 * time.Second) // a renewal, which will fail
		breakIt(t, operator, "k")
		synctest.Wait()
		wantCause(t, k, ErrBroken)
		n := p.count("renew")
		r := begin(t.Context(), l, "k")
		l.onBreakMessage(backend.Note{ID: k.entry.wire.ID(), Key: "k"})
		elapse(5 * time.Second)
		if p.count("renew") != n {
			t.Errorf("%d renewals more", p.count("renew")-n)
		}
		free(t, k)
		synctest.Wait()
		free(t, r.lock)
	})
}

// One who has overstayed is left to expire already.
func TestMaxHoldAndBreak(t *testing.T) {
	for name, c := range map[string]struct {
		maxHold, breakAt time.Duration
		want             error
	}{
		"broken after its time":      {time.Second, 2 * time.Second, ErrMaxHold},
		"overstayed when broken":     {5 * time.Second, 2 * time.Second, ErrBroken},
		"between break and renewal":  {2500 * time.Millisecond, 2 * time.Second, ErrMaxHold},
		"broken at the same instant": {2 * time.Second, 2 * time.Second, ErrMaxHold},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker(TTL(9 * time.Second))
				operator, _ := b.locker()
				k := get(t, l, "k", MaxHold(c.maxHold))
				elapse(c.breakAt)
				breakIt(t, operator, "k")
				elapse(4 * time.Second)
				wantCause(t, k, c.want)
				n := p.count("renew")
				elapse(2 * time.Second)
				if p.count("renew") != n {
					t.Error("renewed")
				}
				free(t, k)
				if b.lease("k") != "" {
					t.Errorf("lease %q", b.lease("k"))
				}
			})
		})
	}
}
