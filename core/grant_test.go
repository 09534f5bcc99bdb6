package core

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// waiter brings l to wait for "k", which another Locker holds, and returns its
// entry as it stands.
func (b *bubble) waiter(l *RedisLocker, ttl time.Duration) (*lock, *result, *entry) {
	b.t.Helper()
	other, _ := b.locker(TTL(time.Hour))
	k := get(b.t, other, "k")
	warm(b.t, l)
	r := begin(b.t.Context(), l, "k", TTL(ttl))
	synctest.Wait()
	e := standing(l, "k")
	l.mu.Lock()
	defer l.mu.Unlock()
	if e == nil || e.state != queued {
		b.t.Fatalf("not waiting: %+v", e)
	}
	return k, r, e
}

// lastAnswer is when the last answer to e was asked for, and its ticket.
func lastAnswer(l *RedisLocker, e *entry) (time.Time, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return e.queueInfo.ticketSent, e.queueInfo.ticket
}

// anHourAhead is a token that no other of the test is as high as.
func anHourAhead() backend.TokenRange {
	token := uint64(time.Now().Add(time.Hour).UnixMicro())
	return backend.TokenRange{First: token, Last: token}
}

// A grant proves that the lease began after the last request that was answered
// with the grant's ticket was sent, and no more.
func TestAGrantIsValidSinceTheAnswerWithItsTicket(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		_, r, e := b.waiter(l, 9*time.Second)
		elapse(3500 * time.Millisecond) // one poll, 3 s after the first send
		asked, ticket := lastAnswer(l, e)
		if age := time.Since(asked); age != 500*time.Millisecond {
			t.Fatalf("last asked %v ago, want 500ms", age)
		}
		l.onGrantMessage(backend.Grant{ID: e.wire.ID(), Key: "k", Ticket: ticket, Tokens: anHourAhead()})
		synctest.Wait()
		if !r.done() || r.err != nil {
			t.Fatalf("not granted: %+v", r)
		}
		if v := r.lock.entry.valid; !v.From().Equal(asked) {
			t.Errorf("valid since %v ago, want since the poll, %v ago", time.Since(v.From()), time.Since(asked))
		}
	})
}

// Between the grant of an old ticket and the last answer, the lease may have
// expired, and the entry queued again: that answer proves nothing for it.
func TestAGrantWithAnotherTicketIsValidSinceTheFirstSend(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		_, r, e := b.waiter(l, 9*time.Second)
		first := e.firstSend
		elapse(3500 * time.Millisecond)
		_, ticket := lastAnswer(l, e)
		l.onGrantMessage(backend.Grant{ID: e.wire.ID(), Key: "k", Ticket: 1 + ticket, Tokens: anHourAhead()})
		synctest.Wait()
		if !r.done() || r.err != nil {
			t.Fatalf("not granted: %+v", r)
		}
		if v := r.lock.entry.valid; !v.From().Equal(first) {
			t.Errorf("valid since %v ago, want since the first send, %v ago", time.Since(v.From()), time.Since(first))
		}
	})
}

// They travel over two connections.
func TestAGrantThatOvertakesTheAnswerIsOneAfterAWait(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		other, _ := b.locker()
		warm(t, l)
		holder := get(t, other, "k", WithMeta(Meta{RequestID: "before"}))
		p.via(func(op operation, call func() error) error {
			err := call()
			if op.kind == "acquire" {
				time.Sleep(100 * time.Millisecond)
			}
			return err
		})
		r := begin(t.Context(), l, "k")
		synctest.Wait()
		free(t, holder)
		synctest.Wait()
		if !r.done() || r.err != nil {
			t.Fatalf("not granted: %+v", r)
		}
		i := r.lock.Info()
		if !i.Contended || i.Position != 1 || i.Handoff != HandoffRemote || i.Predecessor == nil || i.Predecessor.RequestID != "before" {
			t.Errorf("%+v, want that it was passed on by the one before", i)
		}
		elapse(time.Second)
		free(t, r.lock)
	})
}

// The process may have been stopped with the message in its socket.
func TestALapsedGrantDoesNotRunAndIsAskedForAgainAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		p.via(nil)
		_, r, e := b.waiter(l, 9*time.Second)
		asks := p.count("acquire")
		// No poll is answered any more, so that only the first answer counts.
		p.via(func(op operation, call func() error) error {
			if op.kind == "acquire" {
				time.Sleep(time.Second)
			}
			return call()
		})
		l.mu.Lock()
		e.queueInfo.ticketSent = time.Now().Add(-9 * time.Second)
		l.mu.Unlock()
		_, ticket := lastAnswer(l, e)
		l.onGrantMessage(backend.Grant{ID: e.wire.ID(), Key: "k", Ticket: ticket, Tokens: anHourAhead()})
		synctest.Wait()
		if r.done() {
			t.Fatalf("ran under a grant that had lapsed: %+v", r)
		}
		if p.count("acquire") != asks+1 {
			t.Errorf("asked %d times, want once", p.count("acquire")-asks)
		}
		elapse(2 * time.Second)
	})
}

func TestAnAnswerIsValidSinceItWasAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(10 * time.Second))
		p.via(func(op operation, call func() error) error {
			err := call()
			time.Sleep(1500 * time.Millisecond)
			return err
		})
		k := get(t, l, "k")
		if got, most := k.Remaining(), 8500*time.Millisecond; got > most || got < most-200*time.Millisecond {
			t.Errorf("%v remaining, want a little less than %v", got, most)
		}
		p.via(nil)
		free(t, k)
	})
}

func TestAnAnswerThatLapsedOnItsWayDoesNotRun(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(100 * time.Millisecond))
		var slowed atomic.Bool
		p.via(func(op operation, call func() error) error {
			err := call()
			if op.kind == "acquire" && slowed.CompareAndSwap(false, true) {
				time.Sleep(200 * time.Millisecond)
			}
			return err
		})
		k := get(t, l, "k")
		if p.count("acquire") != 2 || k.Remaining() <= 0 {
			t.Errorf("asked %d times, %v remaining; want a second answer", p.count("acquire"), k.Remaining())
		}
		free(t, k)
	})
}

// A grant for a requeued entry counts from the release that queued it.
func TestAGrantOfARequeuedEntryIsValidSinceTheRelease(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(9*time.Second), Tenure(0))
		warm(t, l)
		k := get(t, l, "k")
		other, _ := b.locker()
		warm(t, other)
		elsewhere := begin(t.Context(), other, "k")
		synctest.Wait()
		here := begin(t.Context(), l, "k")
		synctest.Wait()
		p.via(func(op operation, call func() error) error {
			err := call()
			if op.kind == "release" {
				time.Sleep(time.Second) // the grant overtakes the answer
			}
			return err
		})
		released := time.Now()
		k.returnUnused()
		synctest.Wait()
		if !elsewhere.done() || elsewhere.err != nil {
			t.Fatalf("elsewhere: %+v", elsewhere)
		}
		elapse(500 * time.Millisecond)
		free(t, elsewhere.lock)
		synctest.Wait()
		if !here.done() || here.err != nil {
			t.Fatalf("here: %+v", here)
		}
		if v := here.lock.entry.valid; !v.From().Equal(released) {
			t.Errorf("valid since %v ago, want since the release, %v ago", time.Since(v.From()), time.Since(released))
		}
		elapse(time.Second)
		free(t, here.lock)
	})
}

// A lost message costs a poll, never the lock.
func TestALostGrantIsFoundByThePoll(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		k, r, e := b.waiter(l, 9*time.Second)
		// The subscription is gone, and the Locker does not know.
		l.mu.Lock()
		h := l.listener
		l.mu.Unlock()
		h.Close()
		free(t, k)
		synctest.Wait()
		if r.done() {
			t.Fatal("granted without a message")
		}
		elapse(3 * time.Second)
		if !r.done() || r.err != nil {
			t.Fatalf("not granted by the poll: %+v, entry %+v", r, e.state)
		}
		free(t, r.lock)
	})
}
