package retry_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/internal/retry"
)

func policyOf(t *testing.T, retries int, maxWait time.Duration) retry.Policy {
	t.Helper()
	p := retry.New()
	if err := errors.Join(p.SetRetries(retries), p.SetMaxWait(maxWait)); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhatIsOutOfRangeIsAnError(t *testing.T) {
	for n, ok := range map[int]bool{0: true, 1: true, 1000: true, -1: false, -5: false, 1001: false, math.MinInt: false, math.MaxInt: false} {
		p := retry.New()
		if err := p.SetRetries(n); (err == nil) != ok || p.Retries() != n {
			t.Errorf("%d: %v", n, err)
		}
	}
	for d, ok := range map[time.Duration]bool{
		time.Millisecond: true, 24 * time.Hour: true, time.Millisecond - 1: false, 24*time.Hour + 1: false, 0: false, math.MinInt64: false,
	} {
		p := retry.New()
		if err := p.SetMaxWait(d); (err == nil) != ok {
			t.Errorf("%v: %v", d, err)
		}
	}
}

func TestTheWaitFollowsTheHintAndOtherwiseGrows(t *testing.T) {
	const ms = time.Millisecond
	policy := policyOf(t, 1000, time.Minute)
	for _, c := range []struct {
		n           int
		hint        time.Duration
		least, most time.Duration // 0 for no further attempt
	}{
		{1, time.Second, time.Second, 1250 * ms},
		{900, time.Second, time.Second, 1250 * ms},
		{1, 1, 10 * ms, 12500 * time.Microsecond},
		{1, time.Minute, time.Minute, 75 * time.Second},
		{1, time.Minute + 1, 0, 0},
		{1, time.Hour, 0, 0},
		{1, math.MaxInt64, 0, 0},
		{1, 0, 250 * ms, 500 * ms},
		{2, -time.Hour, 500 * ms, time.Second},
		{5, 0, 4 * time.Second, 8 * time.Second},
		{6, 0, 8 * time.Second, 16 * time.Second},
		{1000, 0, 8 * time.Second, 16 * time.Second},
		{1001, 0, 0, 0},
	} {
		for range 100 {
			wait, again := policy.Wait(t.Context(), c.n, c.hint)
			if again != (c.most > 0) || again && (wait < c.least || wait > c.most) {
				t.Fatalf("attempt %d, hint %v: %v, %v", c.n, c.hint, wait, again)
			}
		}
	}
	short := policyOf(t, 9, time.Millisecond)
	if wait, again := short.Wait(t.Context(), 9, 0); !again || wait > time.Millisecond {
		t.Errorf("a wait of %v, %v beyond the bound", wait, again)
	}
}

func TestAWaitThatCannotEndInTimeIsNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := policyOf(t, 3, time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, again := policy.Wait(ctx, 1, time.Second); again {
			t.Error("an attempt at the deadline")
		}
		if _, again := policy.Wait(ctx, 1, 700*time.Millisecond); !again {
			t.Error("no attempt although there is time")
		}
		cancel()
		if _, again := policy.Wait(ctx, 1, time.Millisecond); again {
			t.Error("an attempt after the end")
		}
	})
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		start := time.Now()
		if err := retry.Sleep(ctx, time.Hour); err != gone || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := retry.Sleep(t.Context(), time.Hour); err != nil {
			t.Error(err)
		}
	})
}
