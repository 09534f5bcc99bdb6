package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/engine"
)

// inlineTimeout is how long an inline call keeps its caller.
const inlineTimeout = backend.InlineBudget / 3

// lone counts the lone operations of a kind.
func (p *path) lone(kind string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, op := range p.seen {
		if op.kind == kind && op.lone {
			n++
		}
	}
	return n
}

func TestAnInlineCallIsForThoseWhoAreAlone(t *testing.T) {
	within := func(d time.Duration) func(t *testing.T, l *RedisLocker, p *path) (context.Context, []AcquireOption) {
		return func(t *testing.T, l *RedisLocker, p *path) (context.Context, []AcquireOption) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			t.Cleanup(cancel)
			return ctx, nil
		}
	}
	terms := func(opts ...AcquireOption) func(t *testing.T, l *RedisLocker, p *path) (context.Context, []AcquireOption) {
		return func(t *testing.T, l *RedisLocker, p *path) (context.Context, []AcquireOption) {
			return t.Context(), opts
		}
	}
	// after has something happen before.
	after := func(f func(t *testing.T, l *RedisLocker, p *path)) func(t *testing.T, l *RedisLocker, p *path) (context.Context, []AcquireOption) {
		return func(t *testing.T, l *RedisLocker, p *path) (context.Context, []AcquireOption) {
			f(t, l, p)
			return t.Context(), nil
		}
	}
	slowed := func(t *testing.T, l *RedisLocker, p *path) {
		p.via(func(_ operation, call func() error) error {
			time.Sleep(3 * time.Millisecond)
			return call()
		})
		free(t, get(t, l, "another"))
		p.via(nil)
	}
	for name, tt := range map[string]struct {
		deaf bool // the client does not heed deadlines
		prep func(t *testing.T, l *RedisLocker, p *path) (context.Context, []AcquireOption)
		want bool
	}{
		"nobody else is under way":    {false, terms(), true},
		"a client that heeds nothing": {true, terms(), false},
		"does not wait in line":       {false, terms(Wait(0)), true}, // but for Redis
		"waits too little":            {false, terms(Wait(backend.InlineBudget - 1)), false},
		"waits enough":                {false, terms(Wait(backend.InlineBudget)), true},
		"too little time is left":     {false, within(backend.InlineBudget), false},
		"enough time is left":         {false, within(backend.InlineBudget + 1), true},
		"another is under way": {false, after(func(t *testing.T, l *RedisLocker, p *path) {
			p.via(func(op operation, call func() error) error {
				time.Sleep(time.Millisecond)
				return call()
			})
			begin(t.Context(), l, "another")
			synctest.Wait()
		}), false},
		"Redis is slow": {false, after(slowed), false},
		"Redis is fast again": {false, after(func(t *testing.T, l *RedisLocker, p *path) {
			slowed(t, l, p)
			free(t, get(t, l, "another"))
			synctest.Wait()
		}), true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.lockerOn(redis.Options{ContextTimeoutEnabled: !tt.deaf})
				once(t, l)
				ctx, opts := tt.prep(t, l, p)
				before := p.lone("acquire")
				k, err := l.Acquire(ctx, "k", opts...)
				if err != nil {
					t.Fatal(err)
				}
				if got := p.lone("acquire") - before; (got == 1) != tt.want {
					t.Errorf("%d lone acquires, want one: %v", got, tt.want)
				}
				elapse(time.Second)
				before = p.lone("release")
				free(t, k.(*lock))
				if got := p.lone("release") - before; (got == 1) == tt.deaf {
					t.Errorf("%d lone releases", got)
				}
				p.via(nil)
			})
		})
	}
}

// What becomes of the first attempt, and when it is done.
var late = map[string]struct {
	first func(call func() error) error
	done  bool // the first attempt, before the second
}{
	"the answer is late":             {func(call func() error) error { err := call(); time.Sleep(time.Second); return err }, true},
	"the answer is lost":             {func(call func() error) error { _ = call(); return io.EOF }, true},
	"the request is late":            {func(call func() error) error { time.Sleep(inlineTimeout + time.Millisecond); return call() }, false},
	"the request is lost":            {func(call func() error) error { return io.EOF }, false},
	"the request is lost in silence": {func(call func() error) error { time.Sleep(time.Hour); return io.EOF }, false},
}

// firstOf has f decide about the first operation of a kind, if it is a lone one.
func (p *path) firstOf(kind string, f func(call func() error) error) {
	first := true
	p.via(func(op operation, call func() error) error {
		p.mu.Lock()
		mine := first && op.lone && op.kind == kind
		first = first && !mine
		p.mu.Unlock()
		if mine {
			return f(call)
		}
		time.Sleep(time.Millisecond) // the second takes its time
		return call()
	})
}

func TestAnInlineAcquireWithoutAnswerIsMadeAgain(t *testing.T) {
	for name, tt := range late {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.heeding()
				once(t, l)
				asked := p.count("acquire")
				p.firstOf("acquire", tt.first)
				start := time.Now()
				k := get(t, l, "k")
				if d := time.Since(start); d > inlineTimeout+time.Millisecond {
					t.Errorf("took %v", d)
				}
				if n := p.count("acquire") - asked; n != 2 {
					t.Errorf("asked %d times, want twice", n)
				}
				// The first may be the one that was granted.
				if got, want := k.Remaining(), engine.Since(start, k.entry.TTL).Remaining(time.Now()); got != want {
					t.Errorf("valid for %v; want %v, since the first send", got, want)
				}
				elapse(100 * time.Millisecond)
				if k.Context().Err() != nil || backend.Entry(b.lease("k")).ID() != k.entry.wire.ID() {
					t.Errorf("%v, lease %q", context.Cause(k.Context()), b.lease("k"))
				}
				free(t, k)
				elapse(time.Second)
				if b.lease("k") != "" {
					t.Error("the lease is left")
				}
				p.via(nil)
				elapse(2 * time.Hour)
			})
		})
	}
}

// once takes and gives back the lock on "k". The first trip has ended before the
// release begins: that one is lone.
func once(t *testing.T, l *RedisLocker) {
	t.Helper()
	k := get(t, l, "k")
	synctest.Wait()
	free(t, k)
}

// With Redis silent since just now: one caller may be late by the timeout of its
// inline call, and nobody after that.
func TestOnlyOneCallerPaysForRedisFallingSilent(t *testing.T) {
	for name, limit := range map[string]func(ctx context.Context) (context.Context, context.CancelFunc){
		"cancelled": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(5*time.Millisecond, cancel)
			return ctx, cancel
		},
		"at its deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 5*time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.heeding()
				once(t, l)
				p.via(func(op operation, call func() error) error {
					time.Sleep(5 * time.Second)
					return io.EOF
				})
				for i := range 5 {
					ctx, cancel := limit(t.Context())
					start := time.Now()
					_, err := l.Acquire(ctx, fmt.Sprint("k", i))
					d := time.Since(start) - 5*time.Millisecond
					if err == nil || d != 0 && (i > 0 || d > inlineTimeout) {
						t.Errorf("caller %d: %v, %v late", i, err, d)
					}
					cancel()
				}
				if n := p.lone("acquire") - 1; n > 1 {
					t.Errorf("%d lone trips", n)
				}
				p.via(nil)
				elapse(time.Minute)
			})
		})
	}
}

func TestAWaitIsOverInTimeAlsoIfItBeganWithAnInlineCall(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.heeding()
		other, _ := b.locker()
		warm(t, l)
		once(t, l)
		asked := p.lone("acquire")
		k := get(t, other, "k")
		for _, wait := range []time.Duration{backend.InlineBudget, time.Second, 5 * time.Second} {
			synctest.Wait() // the last one's place is given up
			start := time.Now()
			_, err := l.Acquire(t.Context(), "k", Wait(wait))
			if !errors.Is(err, ErrWaitTimeout) || time.Since(start) != wait {
				t.Errorf("%v after %v, want ErrWaitTimeout after %v", err, time.Since(start), wait)
			}
		}
		if n := p.lone("acquire") - asked; n != 3 {
			t.Errorf("%d lone acquires, want 3", n)
		}
		free(t, k)
		once(t, l)
	})
}

func TestAShutdownDuringAnInlineCallLeavesNothing(t *testing.T) {
	for name, way := range map[string]func(call func() error) error{
		"on its way there": func(call func() error) error { time.Sleep(2 * time.Millisecond); return call() },
		"on its way back":  func(call func() error) error { err := call(); time.Sleep(2 * time.Millisecond); return err },
	} {
		for _, kind := range []string{"acquire", "release"} {
			t.Run(fmt.Sprint(name, ", ", kind), func(t *testing.T) {
				inBubble(t, func(t *testing.T, b *bubble) {
					l, p := b.heeding(TTL(time.Hour))
					once(t, l)
					lone := p.lone(kind)
					var k *lock
					if kind == "release" {
						k = get(t, l, "k")
					}
					p.firstOf(kind, way)
					var r *result
					released := make(chan error, 1)
					if kind == "acquire" {
						r = begin(t.Context(), l, "k")
					} else {
						go func() { released <- k.Release(t.Context()) }()
					}
					elapse(time.Millisecond)
					if p.lone(kind) != lone+1 {
						t.Fatal("no lone trip")
					}
					start := time.Now()
					if err := l.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
					if d := time.Since(start); d > 50*time.Millisecond {
						t.Errorf("Close took %v", d)
					}
					synctest.Wait()
					if kind == "acquire" && (!r.done() || !errors.Is(r.err, ErrClosed)) {
						t.Errorf("%+v, want ErrClosed", r)
					}
					if kind == "release" {
						if err := <-released; err != nil {
							t.Errorf("Release: %v", err)
						}
					}
					if got := b.lease("k"); got != "" {
						t.Errorf("the lease is left: %q", got)
					}
					elapse(time.Minute)
				})
			})
		}
	}
}

// Of several who come at once, one makes a trip of its own.
func TestThoseBehindAnInlineCallAreServedInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.heeding()
		once(t, l)
		p.firstOf("acquire", func(call func() error) error { err := call(); time.Sleep(time.Second); return err })
		v := &visits{t: t}
		for i := range 20 {
			v.line(l, string(rune('a'+i)), 1, time.Millisecond)
		}
		v.rising()
		if got := v.order(); got != "abcdefghijklmnopqrst" {
			t.Errorf("order %s", got)
		}
		p.via(nil)
		elapse(time.Minute)
	})
}

func TestAShutdownDuringAnInlineCallWithoutAnswerLeavesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.heeding(TTL(time.Hour))
		once(t, l)
		once(t, l)
		p.firstOf("acquire", func(call func() error) error { _ = call(); time.Sleep(20 * time.Millisecond); return io.EOF })
		r := begin(t.Context(), l, "k")
		elapse(time.Millisecond)
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		elapse(time.Second)
		if !r.done() || !errors.Is(r.err, ErrClosed) || b.lease("k") != "" {
			t.Errorf("%+v, lease %q", r, b.lease("k"))
		}
	})
}
