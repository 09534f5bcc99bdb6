package core

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// Rule 1: an acquire without an answer may be done after the release of the
// lock that a grant or a later answer brought.
func TestAnAcquireWithoutAnswerThatIsDoneAfterTheReleaseIsGivenBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(9 * time.Second)) // a poll after 3 s
		other, _ := b.locker()
		k := get(t, other, "k")
		warm(t, l)
		r := begin(t.Context(), l, "k")
		synctest.Wait()
		polled := false
		p.via(func(op operation, call func() error) error {
			if op.kind != "acquire" || polled {
				return call()
			}
			polled = true
			go func() {
				time.Sleep(300 * time.Millisecond)
				call()
			}()
			time.Sleep(10 * time.Millisecond)
			return io.ErrUnexpectedEOF
		})
		elapse(3005 * time.Millisecond)
		free(t, k)
		elapse(100 * time.Millisecond)
		if !r.done() || r.err != nil {
			t.Fatalf("%+v", r)
		}
		r.lock.returnUnused()
		synctest.Wait()
		if !polled || b.lease("k") != "" {
			t.Fatalf("polled %v, lease %q", polled, b.lease("k"))
		}
		elapse(1500 * time.Millisecond) // the poll is done, and then undone
		if got := b.lease("k"); got != "" {
			t.Errorf("the lease is still there: %q", got)
		}
	})
}

// The same for a release that was to queue the next in line.
func TestAReleaseWithoutAnswerThatIsDoneAfterTheNextHolderIsUndone(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		k := get(t, l, "k")
		warm(t, l)
		r := begin(t.Context(), l, "k")
		synctest.Wait()
		first := true
		p.via(func(op operation, call func() error) error {
			if op.kind != "release" || !first {
				return call()
			}
			first = false
			go func() {
				time.Sleep(300 * time.Millisecond)
				call()
			}()
			return io.ErrUnexpectedEOF
		})
		k.returnUnused()
		elapse(100 * time.Millisecond)
		if !r.done() || r.err != nil {
			t.Fatalf("%+v", r)
		}
		r.lock.returnUnused()
		elapse(100 * time.Millisecond)
		if got := b.lease("k"); got != "" {
			t.Fatalf("held by %q", got)
		}
		elapse(1500 * time.Millisecond) // the release is done, and then undone
		if got := b.lease("k"); got != "" {
			t.Errorf("the lease is still there: %q", got)
		}
	})
}

// The same for one that has left the line before it was granted anything.
func TestAPollWithoutAnswerThatIsDoneAfterTheCancelIsUndone(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(9 * time.Second)) // a poll after 3 s
		other, _ := b.locker()
		k := get(t, other, "k")
		warm(t, l)
		ctx, cancel := context.WithCancel(t.Context())
		begin(ctx, l, "k")
		synctest.Wait()
		polled := false
		p.via(func(op operation, call func() error) error {
			if op.kind != "acquire" || polled {
				return call()
			}
			polled = true
			go func() {
				time.Sleep(300 * time.Millisecond)
				call()
			}()
			return io.ErrUnexpectedEOF
		})
		elapse(3005 * time.Millisecond)
		cancel()
		synctest.Wait() // it was in the queue, and has left it
		free(t, k)
		synctest.Wait()
		if !polled || b.lease("k") != "" {
			t.Fatalf("polled %v, lease %q", polled, b.lease("k"))
		}
		elapse(1500 * time.Millisecond)
		if got := b.lease("k"); got != "" {
			t.Errorf("the lease is still there: %q", got)
		}
	})
}

// A grant may come while the release is under way: of an acquire that go-redis
// had repeated, and of which the first came last.
func TestAGrantThatComesWhileTheReleaseIsUnderWayIsGivenBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		tagOf(b, "k")
		k := get(t, l, "k")
		p.via(func(op operation, call func() error) error {
			err := call()
			if op.kind == "release" {
				time.Sleep(time.Second)
			}
			return err
		})
		k.returnUnused()
		synctest.Wait()
		b.plant("k", k.entry.wire)
		l.onGrantMessage(backend.Grant{ID: k.entry.wire.ID(), Key: "k", Ticket: 1, Tokens: backend.TokenRange{First: 1, Last: 1}})
		elapse(1100 * time.Millisecond)
		if got := b.lease("k"); got != "" {
			t.Errorf("the lease is still there: %q", got)
		}
	})
}
