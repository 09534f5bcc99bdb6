package core

import (
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"
)

// What the end of an acquisition finds need not be the work of the question that
// has no answer: found by seeds 344375526406 and 344375550250 of simulated time.
func TestALateAcquireIsGivenBackThoughAnotherWasFound(t *testing.T) {
	const late = 300 * time.Millisecond
	for name, c := range map[string]struct {
		heeds  bool
		ttl    time.Duration
		first  func(call func() error) error
		second func(call func() error) error
	}{
		"the first was answered too late to count, the second is done late": {
			ttl:   time.Second,
			first: func(call func() error) error { time.Sleep(1200 * time.Millisecond); return call() },
			second: func(call func() error) error {
				time.AfterFunc(late, func() { _ = call() })
				return io.EOF
			},
		},
		"the first is done late, the reply to the second is lost": {
			heeds:  true,
			ttl:    time.Hour,
			first:  func(call func() error) error { time.Sleep(late); return call() },
			second: func(call func() error) error { _ = call(); return io.EOF },
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.lockerOn(c.heeds, TTL(c.ttl))
				once(t, l)
				var asked atomic.Int32
				p.via(func(op operation, call func() error) error {
					if op.kind != "A" {
						return call()
					}
					return []func(func() error) error{c.first, c.second}[asked.Add(1)-1](call)
				})
				if _, err := l.TryAcquire(t.Context(), "k"); !errors.Is(err, ErrBackend) || asked.Load() != 2 {
					t.Fatalf("%v after %d questions", err, asked.Load())
				}
				elapse(3 * late) // and the next pause of who cleans up
				if got := b.lease("k"); got != "" {
					t.Errorf("the lease is left to nobody: %q", got)
				}
			})
		})
	}
}
