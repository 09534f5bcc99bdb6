package core

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// way is what happens to one operation: to be done is to call it.
type way func(call func() error) error

// lateBy is a way on which an operation is done that late, and has no answer before.
func lateBy(d time.Duration) way {
	return func(call func() error) error {
		time.AfterFunc(d, func() { _ = call() })
		return io.EOF
	}
}

// slow is a way on which an operation is done, and answered, that late.
func slow(d time.Duration) way {
	return func(call func() error) error {
		time.Sleep(d)
		return call()
	}
}

// unheard is a way on which an operation is done at once, and its answer lost.
func unheard(call func() error) error {
	_ = call()
	return io.EOF
}

// goes has the first operations of a kind go these ways, one after the other, and
// returns a function that tells how many have.
func (p *path) goes(kind string, ways ...way) (gone func() int) {
	n := 0
	p.via(func(op operation, call func() error) error {
		if op.kind != kind {
			return call()
		}
		p.mu.Lock()
		n++
		i := n - 1
		p.mu.Unlock()
		if i < len(ways) {
			return ways[i](call)
		}
		return call()
	})
	return func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return n
	}
}

// What the end of an acquisition finds need not be the work of the question that
// has no answer: the first two were found by seeds 344375526406 and 344375550250 of
// simulated time.
func TestALateAcquireIsGivenBackThoughAnotherWasFound(t *testing.T) {
	const late = 300 * time.Millisecond
	for name, c := range map[string]struct {
		client redis.Options
		ttl    time.Duration
		ways   []way
		leaves bool // while the last is under way
		want   error
	}{
		"the first was answered too late to count, the second is done late": {
			ttl: time.Second, ways: []way{slow(1200 * time.Millisecond), lateBy(late)}, want: ErrBackend,
		},
		"the first is done late, the reply to the second is lost": {
			client: redis.Options{ContextTimeoutEnabled: true},
			ways:   []way{slow(late), unheard}, want: ErrBackend,
		},
		"two are done late, and all fail": {
			client: redis.Options{MaxRetries: 2},
			ways:   []way{lateBy(late), lateBy(5 * late), unheard}, want: ErrBackend,
		},
		"the first is done late, the second is answered when its caller has left": {
			client: redis.Options{MaxRetries: 1},
			ways:   []way{lateBy(5 * late), slow(late)}, leaves: true, want: context.Canceled,
		},
		"the same, and the first was a lone one": {
			client: redis.Options{ContextTimeoutEnabled: true},
			ways:   []way{slow(5 * late), slow(late)}, leaves: true, want: context.Canceled,
		},
		"it fails when its caller has left, and is done late": {
			ways: []way{func(call func() error) error { time.Sleep(late); return lateBy(5 * late)(call) }}, leaves: true, want: context.Canceled,
		},
		"the first is done late, the second fails when its caller has left": {
			client: redis.Options{MaxRetries: 1},
			ways:   []way{lateBy(5 * late), func(call func() error) error { time.Sleep(late); return unheard(call) }},
			leaves: true, want: context.Canceled,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				if c.ttl == 0 {
					c.ttl = time.Hour
				}
				l, p := b.lockerOn(c.client, TTL(c.ttl))
				once(t, l)
				asked := p.goes("acquire", c.ways...)
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				r := begin(ctx, l, "k")
				if c.leaves {
					elapse(late / 2)
					leave()
				}
				elapse(20 * late)
				if !r.done() || !errors.Is(r.err, c.want) || asked() != len(c.ways) {
					t.Fatalf("%v after %d questions", r.err, asked())
				}
				if got := b.lease("k"); got != "" {
					t.Errorf("the lease is left to nobody: %q", got)
				}
			})
		})
	}
}

// One of them finds the key free again, and the others come after it.
func TestLateAcquiresOfWhoWasRefusedAreAllGivenBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		other, _ := b.locker()
		l, p := b.repeating(2, TTL(time.Hour))
		once(t, l)
		k := get(t, other, "k")
		asked := p.goes("acquire", lateBy(time.Second), lateBy(5*time.Second))
		if _, err := l.TryAcquire(t.Context(), "k"); !errors.Is(err, ErrHeld) || asked() != 3 {
			t.Fatalf("%v after %d questions", err, asked())
		}
		free(t, k)
		elapse(10 * time.Minute)
		if got := b.lease("k"); got != "" {
			t.Errorf("the lease is left to nobody: %q", got)
		}
	})
}

// The same for one who left before he was.
func TestALateAcquireOfWhoLeftBeforeHeWasRefusedIsGivenBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		other, _ := b.locker()
		l, p := b.repeating(1, TTL(time.Hour))
		once(t, l)
		k := get(t, other, "k")
		asked := p.goes("acquire", lateBy(5*time.Second), slow(200*time.Millisecond))
		ctx, leave := context.WithCancel(t.Context())
		r := begin(ctx, l, "k", Wait(0))
		elapse(100 * time.Millisecond)
		leave()
		elapse(time.Second)
		if !r.done() || asked() != 2 {
			t.Fatalf("%v after %d questions", r.err, asked())
		}
		free(t, k)
		elapse(10 * time.Minute)
		if got := b.lease("k"); got != "" {
			t.Errorf("the lease is left to nobody: %q", got)
		}
	})
}

// The release is done a second time, late, and queues one who has left again.
func TestALateReleaseDoesNotLeaveTheNextWhoHasLeft(t *testing.T) {
	for name, second := range map[string]way{
		"the second is answered": slow(200 * time.Millisecond),
		"the second fails":       func(call func() error) error { time.Sleep(200 * time.Millisecond); return unheard(call) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.repeating(1, TTL(time.Hour), Tenure(0))
				k := get(t, l, "k")
				warm(t, l)
				ctx, leave := context.WithCancel(t.Context())
				r := begin(ctx, l, "k")
				synctest.Wait()
				released := p.goes("release", lateBy(5*time.Second), second)
				k.returnUnused()
				elapse(100 * time.Millisecond)
				leave()
				elapse(10 * time.Minute)
				if !r.done() || released() != 2 {
					t.Fatalf("%v after %d releases", r.err, released())
				}
				if got := b.lease("k"); got != "" {
					t.Errorf("the lease is left to nobody: %q", got)
				}
			})
		})
	}
}

// A question may be done while its caller has left and given up what was there, long
// before it is known that its answer is lost.
func TestWhatIsDoneInSilenceAfterItsCallerLeftIsGivenBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(10 * time.Second))
		once(t, l)
		p.goes("acquire", func(call func() error) error {
			time.Sleep(300 * time.Millisecond)
			_ = call()
			time.Sleep(8 * time.Second)
			return io.EOF
		})
		ctx, leave := context.WithCancel(t.Context())
		r := begin(ctx, l, "k")
		elapse(100 * time.Millisecond)
		leave()
		elapse(2 * time.Second)
		if !r.done() || b.lease("k") != "" {
			t.Errorf("%v; the lease is left to nobody: %q", r.err, b.lease("k"))
		}
		elapse(time.Minute)
		if n := p.count("cancel"); n > 30 {
			t.Errorf("%d commands to clean up", n)
		}
	})
}

// The same for a poll that is under way while its lock, granted by a message, is
// released.
func TestAPollThatIsDoneInSilenceAfterTheReleaseIsGivenBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(30 * time.Second)) // a poll after 5 s
		k, r := b.behind(l)
		polled := p.goes("acquire", func(call func() error) error {
			time.Sleep(500 * time.Millisecond)
			_ = call()
			time.Sleep(20 * time.Second)
			return io.EOF
		})
		defer elapse(30 * time.Second)
		elapse(5050 * time.Millisecond)
		free(t, k)
		synctest.Wait()
		if !r.done() || r.err != nil || polled() != 1 {
			t.Fatalf("%v after %d polls", r.err, polled())
		}
		free(t, r.lock)
		elapse(3 * time.Second)
		if got := b.lease("k"); got != "" {
			t.Errorf("the lease is left to nobody: %q", got)
		}
	})
}

// The poll fails while the release is under way, and is done after that.
func TestAPollThatFailsDuringTheReleaseIsGivenBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(30 * time.Second)) // a poll after 5 s
		k, r := b.behind(l)
		p.via(func(op operation, call func() error) error {
			switch op.kind {
			case "acquire":
				time.Sleep(500 * time.Millisecond)
				return lateBy(3 * time.Second)(call)
			case "release":
				err := call()
				time.Sleep(time.Second)
				return err
			}
			return call()
		})
		elapse(5050 * time.Millisecond)
		free(t, k)
		synctest.Wait()
		if !r.done() || r.err != nil {
			t.Fatalf("%+v", r)
		}
		r.lock.returnUnused()
		elapse(6 * time.Second)
		if got := b.lease("k"); got != "" {
			t.Errorf("the lease is left to nobody: %q", got)
		}
	})
}

// behind returns the lock on k of another process, and what becomes of l's wait for
// it.
func (b *bubble) behind(l *RedisLocker) (*lock, *result) {
	b.t.Helper()
	other, _ := b.locker(TTL(time.Minute))
	k := get(b.t, other, "k")
	warm(b.t, l)
	r := begin(b.t.Context(), l, "k")
	synctest.Wait()
	return k, r
}

// Close takes the lock from its holder, who may never release it himself.
func TestAPollThatIsDoneAfterTheHolderWasCutOffIsGivenBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(30 * time.Second)) // a poll after 5 s
		k, r := b.behind(l)
		polled := p.goes("acquire", slow(500*time.Millisecond))
		elapse(5050 * time.Millisecond)
		free(t, k)
		synctest.Wait()
		if !r.done() || r.err != nil || polled() != 1 {
			t.Fatalf("%v after %d polls", r.err, polled())
		}
		l.Close()
		elapse(5 * time.Second)
		if got := b.lease("k"); got != "" {
			t.Errorf("the lease is left to nobody: %q", got)
		}
	})
}

// A poll from before the grant is done after the lease has expired, and queues the
// entry again.
func TestAHolderThatWasQueuedAgainLeavesTheLine(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(3 * time.Second)) // a poll after 1 s
		k, r := b.behind(l)
		p.via(func(op operation, call func() error) error {
			switch op.kind {
			case "acquire":
				time.Sleep(6 * time.Second)
			case "renew":
				return io.EOF // so that it expires
			}
			return call()
		})
		elapse(1050 * time.Millisecond)
		free(t, k)
		synctest.Wait()
		if !r.done() || r.err != nil {
			t.Fatalf("%+v", r)
		}
		elapse(4 * time.Second)
		third, _ := b.locker(TTL(time.Minute))
		k = get(t, third, "k")
		elapse(3 * time.Second)
		if n := b.queued(); n != 1 {
			t.Fatalf("%d in line: the poll was not done", n)
		}
		_ = r.lock.Release(t.Context())
		elapse(time.Second)
		if n := b.queued(); n != 0 {
			t.Errorf("%d in line", n)
		}
		free(t, k)
	})
}

// A command of a cleanup may be done long before its answer is read.
func TestTheLastOfACleanupIsSentWhenNothingCanBeLeft(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(time.Second))
		once(t, l)
		p.via(func(op operation, call func() error) error {
			switch op.kind {
			case "acquire":
				return lateBy(970 * time.Millisecond)(call)
			case "cancel":
				err := call()
				time.Sleep(200 * time.Millisecond)
				return err
			}
			return call()
		})
		defer elapse(time.Second)
		if _, err := l.TryAcquire(t.Context(), "k"); !errors.Is(err, ErrBackend) {
			t.Fatal(err)
		}
		elapse(1900 * time.Millisecond)
		if got := b.lease("k"); got != "" {
			t.Errorf("the lease is left to nobody: %q", got)
		}
	})
}
