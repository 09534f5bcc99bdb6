package core

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
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
	if e == nil || l.machine.View(e.Line(), time.Now()).Position == 0 {
		b.t.Fatalf("not waiting: %+v", e)
	}
	return k, r, e
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

// A lost message costs a poll, never the lock.
func TestALostGrantIsFoundByThePoll(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		k, r, _ := b.waiter(l, 9*time.Second)
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
			t.Fatalf("not granted by the poll: %+v", r)
		}
		free(t, r.lock)
	})
}
