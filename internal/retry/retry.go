// Package retry is when a client sends a denied request again. Both transports
// have it, so that a client need not know which of them it speaks.
package retry

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// DefaultMaxWait is the longest hint that is followed, unless set otherwise, by both transports' clients.
const DefaultMaxWait = time.Minute

const (
	// maxRetries keeps a client without a deadline from asking for ever.
	maxRetries = 1000
	// minHint is the shortest hint that is believed, as core gives none below.
	minHint = 10 * time.Millisecond
	// firstBackoff is the wait after the first denial that has no hint.
	firstBackoff = 250 * time.Millisecond
	// maxDoublings ends the growth at 8 s.
	maxDoublings = 5
)

// Policy is how often and when a request is sent again.
type Policy struct {
	retries int           // attempts after the first, at most
	maxWait time.Duration // the longest hint that is followed
}

// New returns the policy that sends nothing again.
func New() Policy { return Policy{maxWait: DefaultMaxWait} }

// Retries is the largest number of attempts after the first.
func (p Policy) Retries() int { return p.retries }

// SetRetries changes Retries. An error says that n is out of range.
func (p *Policy) SetRetries(n int) error {
	p.retries = n
	if n < 0 || n > maxRetries {
		return fmt.Errorf("RetryHeld(%d) is not from 0 to %d", n, maxRetries)
	}
	return nil
}

// SetMaxWait changes the longest hint that is followed. An error says that d is
// out of range.
func (p *Policy) SetMaxWait(d time.Duration) error {
	p.maxWait = d
	if d < time.Millisecond || d > 24*time.Hour {
		return fmt.Errorf("MaxRetryWait(%v) is not from 1 ms to 24 h", d)
	}
	return nil
}

// Wait returns the time until the next attempt, when the nth, from 1, was denied
// with that hint, which is not positive if there is none. It returns false if no
// attempt is to follow: n exceeds the retries, the hint exceeds the longest, or the
// wait could not end before ctx does.
func (p Policy) Wait(ctx context.Context, n int, hint time.Duration) (time.Duration, bool) {
	if n > p.retries || hint > p.maxWait {
		return 0, false
	}
	wait := p.backoff(n)
	if hint > 0 {
		hint = max(hint, minHint)
		wait = hint + rand.N(hint/4+1)
	}
	return wait, endsInTime(ctx, wait)
}

// backoff is the wait after the nth attempt if the server gives no hint.
func (p Policy) backoff(n int) time.Duration {
	d := min(firstBackoff<<min(n-1, maxDoublings), p.maxWait/2)
	return d + rand.N(d+1)
}

// endsInTime reports whether a wait that begins now ends before ctx does.
func endsInTime(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() == nil && (!ok || wait < time.Until(deadline))
}

// Sleep waits, or returns why ctx ended before.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
