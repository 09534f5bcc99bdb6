package core

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"
)

func TestAnInlineReleaseWithoutAnswerIsMadeAgain(t *testing.T) {
	for name, tt := range late {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.heeding()
				once(t, l)
				k := get(t, l, "k")
				p.firstOf("release", tt.first)
				start := time.Now()
				// Also if the second finds that it is done.
				if err := k.Release(t.Context()); err != nil {
					t.Errorf("Release: %v", err)
				}
				if d := time.Since(start); d > inlineTimeout+time.Millisecond {
					t.Errorf("took %v", d)
				}
				if b.lease("k") != "" || p.lone("release") != 2 || p.count("release") != 3 {
					t.Errorf("lease %q, %d lone of %d releases", b.lease("k"), p.lone("release"), p.count("release"))
				}
				p.via(nil)
				next := get(t, l, "k")
				elapse(5 * time.Second) // the late one does not end another's lease
				if next.Context().Err() != nil {
					t.Errorf("the next: %v", context.Cause(next.Context()))
				}
				free(t, next)
				elapse(2 * time.Hour)
			})
		})
	}
}

func TestAnInlineReleaseOfALeaseThatIsAnothersSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		tagOf(b, "k")
		l, p := b.heeding()
		once(t, l)
		k := get(t, l, "k")
		b.plant("k", foreign())
		if err := k.Release(t.Context()); !errors.Is(err, ErrLost) || p.lone("release") != 2 {
			t.Errorf("Release: %v, %d lone; want ErrLost", err, p.lone("release"))
		}
	})
}

func TestAReleaseReturnsWithItsContextWhileRedisIsSilent(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.heeding(TTL(time.Second))
		once(t, l)
		k := get(t, l, "k")
		p.via(func(operation, func() error) error { time.Sleep(5 * time.Second); return io.EOF })
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		if err := k.Release(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 50*time.Millisecond {
			t.Errorf("Release: %v after %v", err, time.Since(start))
		}
		p.via(nil)
		elapse(time.Minute)
	})
}

// The first attempt may be done after the release: a lease to nobody.
func TestAnInlineAcquireThatIsDoneAfterTheReleaseIsGivenBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.heeding(TTL(time.Hour))
		once(t, l)
		p.firstOf("acquire", func(call func() error) error { time.Sleep(300 * time.Millisecond); return call() })
		once(t, l)
		elapse(5 * time.Second)
		if got := b.lease("k"); got != "" {
			t.Errorf("the lease is left to nobody: %q", got)
		}
	})
}
