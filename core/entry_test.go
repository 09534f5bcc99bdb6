package core

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/engine"
)

// standing is the entry that stands for key in l.
func standing(l *RedisLocker, key string) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := range l.machine.Entries {
		if e.Line().Key == key && e.Stands() {
			return e.Data.(*entry)
		}
	}
	return nil
}

// known reports whether l still has e, as a wait, a lease, or a release under way.
func known(l *RedisLocker, e *entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for other := range l.machine.Entries {
		if other == &e.Entry {
			return true
		}
	}
	return false
}

// plant makes e the owner in Redis, as a late acquire would.
func (b *bubble) plant(key string, e backend.Entry) {
	b.t.Helper()
	name := "latchkey:{" + tagOf(b, key) + "}:l:" + key
	if err := b.srv.Set(name, string(e)); err != nil {
		b.t.Fatal(err)
	}
	b.srv.SetTTL(name, time.Minute)
}

// tagOf learns the bucket of key from a lock on it, the first time.
func tagOf(b *bubble, key string) string {
	if tag, ok := b.tags[key]; ok {
		return tag
	}
	l, _ := b.locker()
	k := get(b.t, l, key)
	defer free(b.t, k)
	for _, name := range b.srv.Keys() {
		if n := len(name); n > len(key) && name[n-len(key):] == key {
			b.tags[key] = name[len("latchkey:{"):][:2]
			return b.tags[key]
		}
	}
	b.t.Fatal("no lease")
	return ""
}

// Rule 1, and rule 2: nothing that arrives for a held entry ends it or changes
// its token.
func TestWhatArrivesForAHeldEntryChangesNothing(t *testing.T) {
	arrivals := map[string]func(l *RedisLocker, e *entry){
		"a grant": func(l *RedisLocker, e *entry) {
			l.onGrantMessage(backend.Grant{ID: e.wire.ID(), Key: "k", Ticket: 1, Tokens: backend.TokenRange{First: 1, Last: 1}})
		},
		"a grant with a higher token": func(l *RedisLocker, e *entry) {
			l.onGrantMessage(backend.Grant{ID: e.wire.ID(), Key: "k", Ticket: 1, Tokens: backend.TokenRange{First: 1 << 52, Last: 1 << 52}})
		},
		"a note": func(l *RedisLocker, e *entry) { l.onContentionMessage(backend.Note{ID: e.wire.ID(), Key: "k"}) },
	}
	for name, arrive := range arrivals {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker()
				k := get(t, l, "k")
				token, before := k.Token(), b.lease("k")
				arrive(l, k.entry)
				synctest.Wait()
				elapse(time.Second)
				if p.count("release")+p.count("cancel") > 0 || b.lease("k") != before || k.Context().Err() != nil {
					t.Errorf("releases %d, cancels %d, lease %q, context %v", p.count("release"), p.count("cancel"), b.lease("k"), k.Context().Err())
				}
				if k.Token() != token {
					t.Errorf("token %d, was %d", k.Token(), token)
				}
				free(t, k)
			})
		})
	}
}

// Rule 1: a lease in the name of an entry that is retired or unknown is given
// back as soon as anything tells of it.
func TestALeaseThatNobodyHereHasIsGivenBackAtOnce(t *testing.T) {
	entries := map[string]func(t *testing.T, l *RedisLocker) backend.Entry{
		"retired": func(t *testing.T, l *RedisLocker) backend.Entry {
			k := get(t, l, "k")
			e := k.entry.wire
			free(t, k)
			return e
		},
		"unknown": func(_ *testing.T, l *RedisLocker) backend.Entry {
			return forgotten(l)
		},
	}
	tellings := map[string]func(l *RedisLocker, e backend.Entry){
		"grant": func(l *RedisLocker, e backend.Entry) {
			l.onGrantMessage(backend.Grant{ID: e.ID(), Key: "k", Ticket: 1, Tokens: backend.TokenRange{First: 1, Last: 1}})
		},
		"note": func(l *RedisLocker, e backend.Entry) { l.onContentionMessage(backend.Note{ID: e.ID(), Key: "k"}) },
	}
	for which, entry := range entries {
		for how, tell := range tellings {
			t.Run(which+" "+how, func(t *testing.T) {
				inBubble(t, func(t *testing.T, b *bubble) {
					l, _ := b.locker()
					e := entry(t, l)
					b.plant("k", e)
					tell(l, e)
					synctest.Wait()
					if got := b.lease("k"); got != "" {
						t.Errorf("the lease is still there: %q", got)
					}
				})
			})
		}
	}
}

// Rule 1: the acquire of a caller who left may be done after its cancel.
func TestAnAcquireThatIsDoneAfterItsCancelIsGivenBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		p.via(func(op operation, call func() error) error {
			if op.kind == "acquire" {
				time.Sleep(300 * time.Millisecond) // overtaken by the cancel
			}
			return call()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := l.Acquire(ctx, "k")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Acquire: %v", err)
		}
		synctest.Wait()
		if p.count("cancel") != 1 {
			t.Fatalf("%d cancels at once, want 1", p.count("cancel"))
		}
		elapse(250 * time.Millisecond)
		synctest.Wait()
		if got := b.lease("k"); got != "" {
			t.Errorf("the lease is still there: %q", got)
		}
	})
}

// Rule 1: an acquire whose answer was lost may have been done, or may yet be.
func TestAnAcquireWithoutAnswerIsAnErrorNowAndGivenBackInTheBackground(t *testing.T) {
	for name, lag := range map[string]time.Duration{"done before": 0, "done later": 400 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker()
				free(t, get(t, l, "another")) // the server knows the script now
				p.via(func(op operation, call func() error) error {
					if op.kind != "acquire" {
						return call()
					}
					go func() {
						time.Sleep(lag)
						call()
					}()
					time.Sleep(time.Millisecond)
					return io.ErrUnexpectedEOF
				})
				start := time.Now()
				_, err := l.Acquire(t.Context(), "k")
				if !errors.Is(err, ErrBackend) || !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("Acquire: %v, want ErrBackend with its cause", err)
				}
				if d := time.Since(start); d > 10*time.Millisecond {
					t.Errorf("told after %v", d)
				}
				elapse(lag + time.Second)
				synctest.Wait()
				if got := b.lease("k"); got != "" {
					t.Errorf("the lease is still there: %q", got)
				}
			})
		})
	}
}

// Rule 2, in the order grant, then answer, through the real channels.
func TestTheFirstGrantFixesTheToken(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		other, _ := b.locker()
		k := get(t, other, "k")
		warm(t, l) // so that it listens
		p.via(func(op operation, call func() error) error {
			err := call()
			if op.kind == "acquire" {
				time.Sleep(time.Second) // the grant overtakes the answer
			}
			return err
		})
		r := begin(t.Context(), l, "k")
		elapse(100 * time.Millisecond)
		free(t, k)
		synctest.Wait()
		if !r.done() || r.err != nil {
			t.Fatalf("not granted by the message: %+v", r)
		}
		token := r.lock.Token()
		elapse(2 * time.Second)
		if r.lock.Token() != token || r.lock.Context().Err() != nil || b.lease("k") == "" {
			t.Errorf("token %d, was %d; context %v; lease %q", r.lock.Token(), token, r.lock.Context().Err(), b.lease("k"))
		}
		free(t, r.lock)
	})
}

// warm makes l subscribe.
func warm(t *testing.T, l *RedisLocker) {
	t.Helper()
	subscribe(l)
	synctest.Wait()
	if !l.subscriptions[0].Active() {
		t.Fatal("not subscribed")
	}
}

// subscribe opens l's subscription without asking Redis for the lock.
func subscribe(l *RedisLocker) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 2 {
		r := &engine.Request{Key: "k", TTL: time.Minute, Wait: time.Minute, MaxWaiters: 2, Meta: &Meta{}}
		for _, f := range l.machine.Step(&engine.Event{Kind: engine.Join, Request: r}, time.Now()) {
			switch {
			case f.Kind == engine.Subscribe:
				l.listen(f.Subscription.Data.(*subscription))
			case f.Kind == engine.SetAlarm && f.Subscription != nil:
				l.setAlarm(&f)
			}
		}
		defer l.machine.Step(&engine.Event{Kind: engine.Leave, Request: r}, time.Now())
	}
}

// lapse lets the lease of k lapse, and nobody notices.
func lapse(k *lock) {
	l := k.locker
	l.mu.Lock()
	l.deadlines.Clear(&k.entry.expiry)
	l.background.Clear(&k.entry.next)
	l.mu.Unlock()
	time.Sleep(k.entry.TTL)
}

// lost reports whether l counts the lease of k as lost.
func lost(k *lock) bool {
	k.locker.mu.Lock()
	defer k.locker.mu.Unlock()
	return k.entry.Stopped() == engine.ErrLost
}

// Rule 3.
func TestALapsedValidityIsNotRevivedByALateAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(3 * time.Second))
		k := get(t, l, "k")
		p.via(func(op operation, call func() error) error {
			if op.kind != "renew" {
				return call()
			}
			err := call() // done at once, so that the lease in Redis lives on
			time.Sleep(5 * time.Second)
			return err
		})
		elapse(3 * time.Second)
		if cause := context.Cause(k.Context()); !errors.Is(cause, ErrLost) {
			t.Fatalf("cause %v, want ErrLost", cause)
		}
		elapse(5 * time.Second) // the answers come: it was ours all the time
		synctest.Wait()
		if k.Remaining() != 0 || !lost(k) {
			t.Errorf("revived: %v remaining", k.Remaining())
		}
		if err := k.Release(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("Release: %v, want ErrLost", err)
		}
	})
}

// Rule 3: until the function returns, nothing releases the lease in Redis for
// it, so that nobody is let in beside it earlier than need be.
func TestALostLeaseStaysHeldUntilItsHolderIsDone(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(3 * time.Second))
		k := get(t, l, "k")
		p.via(func(op operation, call func() error) error {
			if op.kind == "renew" {
				call()
				return io.EOF // done, but never answered
			}
			return call()
		})
		elapse(3 * time.Second)
		if !lost(k) || b.lease("k") == "" {
			t.Fatalf("lost %v, lease %q", lost(k), b.lease("k"))
		}
		l.onContentionMessage(backend.Note{ID: k.entry.wire.ID(), Key: "k"})
		l.onGrantMessage(backend.Grant{ID: k.entry.wire.ID(), Key: "k", Ticket: 1, Tokens: backend.TokenRange{First: 1, Last: 1}})
		synctest.Wait()
		if p.count("release")+p.count("cancel") != 0 || b.lease("k") == "" {
			t.Errorf("released under its holder: %d releases, lease %q", p.count("release"), b.lease("k"))
		}
		if err := k.Release(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("Release: %v, want ErrLost", err)
		}
		synctest.Wait()
		if b.lease("k") != "" {
			t.Error("not released by its holder")
		}
	})
}

// Rule 4.
func TestANewWaitIsNotEndedByTheCancelOfTheLast(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		other, _ := b.locker()
		k := get(t, other, "k")
		warm(t, l)
		ctx, cancel := context.WithCancel(t.Context())
		first := begin(ctx, l, "k")
		synctest.Wait()
		e := standing(l, "k")
		p.via(func(op operation, call func() error) error {
			if op.kind == "cancel" {
				time.Sleep(2 * time.Second) // arrives when the next one holds
			}
			return call()
		})
		cancel()
		synctest.Wait()
		if !first.done() || !errors.Is(first.err, context.Canceled) {
			t.Fatalf("first: %+v", first)
		}
		second := begin(t.Context(), l, "k")
		synctest.Wait()
		if now := standing(l, "k"); now == nil || now == e {
			t.Fatal("the second wait has the entry of the first")
		}
		free(t, k)
		elapse(time.Second)
		// The first one's entry was still in line, and its grant was not for
		// the second.
		if !second.done() || second.err != nil {
			t.Fatalf("second: %+v", second)
		}
		elapse(3 * time.Second)
		synctest.Wait()
		if p.count("cancel") == 0 {
			t.Fatal("the cancel was never sent")
		}
		if second.lock.Context().Err() != nil || backend.Entry(b.lease("k")).ID() != second.lock.entry.wire.ID() {
			t.Errorf("ended by the cancel: %v, lease %q", context.Cause(second.lock.Context()), b.lease("k"))
		}
		free(t, second.lock)
	})
}

// Rule 1: an acquire that was answered while the release was under way may have
// been done after it, and left a lease behind.
func TestAPollThatIsDoneAfterTheReleaseIsGivenBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(9 * time.Second)) // a poll after 3 s
		other, _ := b.locker()
		k := get(t, other, "k")
		warm(t, l)
		r := begin(t.Context(), l, "k")
		synctest.Wait()
		p.via(func(op operation, call func() error) error {
			switch op.kind {
			case "acquire":
				time.Sleep(time.Second) // done when the lock has been released
				return call()
			case "release":
				err := call()
				time.Sleep(2 * time.Second) // and answered before this is
				return err
			}
			return call()
		})
		elapse(3100 * time.Millisecond)
		free(t, k)
		synctest.Wait()
		if !r.done() || r.err != nil {
			t.Fatalf("%+v", r)
		}
		r.lock.returnUnused()
		elapse(time.Second)
		if b.lease("k") == "" {
			t.Fatal("the poll was not done after the release")
		}
		elapse(1500 * time.Millisecond)
		if got := b.lease("k"); got != "" {
			t.Errorf("the lease is still there: %q", got)
		}
	})
}
