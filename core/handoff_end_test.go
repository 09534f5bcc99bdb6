package core

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestARequestWithAnotherTTLGetsALeaseOfItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(10 * time.Second))
		k := get(t, l, "k")
		same := begin(t.Context(), l, "k")
		synctest.Wait()
		longer := begin(t.Context(), l, "k", TTL(time.Minute))
		synctest.Wait()
		shorter := begin(t.Context(), l, "k", TTL(time.Second))
		synctest.Wait()
		free(t, k)
		synctest.Wait()
		if !same.done() || same.err != nil || p.count("release") != 0 {
			t.Fatalf("same: %+v, %d releases", same, p.count("release"))
		}
		last := same
		for i, next := range []*result{longer, shorter} {
			free(t, last.lock)
			synctest.Wait()
			if !next.done() || next.err != nil || p.count("release") != i+1 {
				t.Fatalf("next: %+v, %d releases", next, p.count("release"))
			}
			want := []time.Duration{time.Minute, time.Second}[i]
			if got := next.lock.Info().LeaseTTL; got != want || next.lock.Remaining() > want || next.lock.Remaining() < want*9/10 {
				t.Errorf("TTL %v, %v remaining; want %v", got, next.lock.Remaining(), want)
			}
			if next.lock.Token() <= last.lock.Token() {
				t.Errorf("token %d after %d", next.lock.Token(), last.lock.Token())
			}
			last = next
		}
		free(t, last.lock)
	})
}

func TestMaxHoldIsEachHoldersOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(3*time.Second), Wait(time.Hour))
		terms := []struct{ max, stay time.Duration }{
			{2 * time.Second, 1500 * time.Millisecond},
			{2 * time.Second, 1900 * time.Millisecond}, // beyond the last one's end
			{0, 10 * time.Second},                      // has none
			{2 * time.Second, 1999 * time.Millisecond},
			{time.Minute, 10 * time.Second}, // a later end than the last one's
			{2 * time.Second, 2500 * time.Millisecond},
		}
		var locks []*result
		for _, x := range terms {
			locks = append(locks, begin(t.Context(), l, "k", MaxHold(x.max)))
			synctest.Wait()
		}
		for i, x := range terms {
			k := locks[i].lock
			if k == nil {
				t.Fatalf("holder %d: %+v", i, locks[i])
			}
			ctx, start := k.Context(), time.Now()
			var stopped time.Duration
			defer context.AfterFunc(ctx, func() { stopped = time.Since(start) })()
			elapse(x.stay)
			switch over := x.max > 0 && x.stay > x.max; {
			case over && (!errors.Is(context.Cause(ctx), ErrMaxHold) || stopped != x.max):
				t.Errorf("holder %d: %v after %v, want ErrMaxHold after %v", i, context.Cause(ctx), stopped, x.max)
			case !over && ctx.Err() != nil:
				t.Errorf("holder %d: %v after %v", i, context.Cause(ctx), stopped)
			}
			free(t, k)
			synctest.Wait()
		}
		if n := p.count("release"); n != 1 {
			t.Errorf("%d releases, want that of the last", n)
		}
	})
}

// The alarm may be on its way when its holder releases.
func TestAnAlarmThatWasSetForTheLastHolderStopsNobody(t *testing.T) {
	for _, own := range []time.Duration{0, time.Hour} {
		inBubble(t, func(t *testing.T, b *bubble) {
			l, _ := b.locker()
			k := get(t, l, "k", MaxHold(time.Second))
			next := begin(t.Context(), l, "k", MaxHold(own))
			synctest.Wait()
			alarm := (*maxHoldAlarm)(k.entry)
			free(t, k)
			synctest.Wait()
			alarm.Due()
			if next.lock.Context().Err() != nil {
				t.Errorf("MaxHold(%v): %v", own, context.Cause(next.lock.Context()))
			}
			free(t, next.lock)
		})
	}
}

// The lease of one who overstayed is left to expire: it is nobody else's to pass
// on, but its release is.
func TestAHolderWhoOverstayedGivesTheLeaseBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(3 * time.Second))
		k := get(t, l, "k", MaxHold(time.Second))
		next := begin(t.Context(), l, "k")
		elapse(1500 * time.Millisecond)
		free(t, k)
		synctest.Wait()
		if !next.done() || next.err != nil || p.count("release") != 1 {
			t.Fatalf("next: %+v, %d releases", next, p.count("release"))
		}
		elapse(time.Minute)
		if next.lock.Context().Err() != nil {
			t.Errorf("stopped: %v", context.Cause(next.lock.Context()))
		}
		free(t, next.lock)
	})
}

// A holder that hangs while the lease cannot be renewed must not keep its
// cohort.
func TestTheLineOfALostTenureGetsTheLockAfterTheLoss(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(3*time.Second), Wait(time.Hour))
		k := get(t, l, "k")
		second := begin(t.Context(), l, "k")
		synctest.Wait()
		v := &visits{t: t}
		v.line(l, "x", 10, 100*time.Millisecond)
		free(t, k)
		synctest.Wait()
		hung := second.lock
		var stopped time.Time
		context.AfterFunc(hung.Context(), func() { stopped = time.Now() })
		p.via(func(op operation, call func() error) error {
			if op.entry.ID() == hung.entry.wire.ID() {
				return io.EOF
			}
			return call()
		})
		v.rising()
		synctest.Wait()
		if len(v.all) != 10 || v.all[0].token <= hung.Token() || v.all[0].at.Before(stopped) || v.all[0].at.Sub(stopped) > 50*time.Millisecond {
			t.Errorf("%d holders, the first at %v with token %d after %v with %d",
				len(v.all), v.all[0].at, v.all[0].token, stopped, hung.Token())
		}
		if !errors.Is(context.Cause(hung.Context()), ErrLost) {
			t.Errorf("cause %v", context.Cause(hung.Context()))
		}
		p.via(nil)
		if err := hung.Release(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("Release: %v", err)
		}
	})
}

func TestALockThatWasHandedOnCannotBeReleasedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		k := get(t, l, "k")
		next := begin(t.Context(), l, "k")
		synctest.Wait()
		free(t, k)
		synctest.Wait()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for _, ctx := range []context.Context{t.Context(), ended, t.Context()} {
			if err := k.Release(ctx); !errors.Is(err, ErrReleased) {
				t.Errorf("Release: %v, want ErrReleased", err)
			}
		}
		synctest.Wait()
		if !next.done() || next.lock.Context().Err() != nil || next.lock.Remaining() <= 0 || p.count("release") != 0 {
			t.Errorf("next %+v, %d releases", next, p.count("release"))
		}
		if k.Remaining() != 0 || !errors.Is(context.Cause(k.Context()), ErrReleased) {
			t.Errorf("%v remaining for who passed it on, %v", k.Remaining(), context.Cause(k.Context()))
		}
		free(t, next.lock)
	})
}

// One lock is released by many at once: it is passed on once.
func TestOneOfManyReleasesPassesTheLockOn(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		v := &visits{t: t}
		k := get(t, l, "k")
		v.line(l, "x", 5, time.Millisecond)
		results := make(chan error, 10)
		for range cap(results) {
			go func() { results <- k.Release(t.Context()) }()
		}
		won := 0
		for range cap(results) {
			switch err := <-results; {
			case err == nil:
				won++
			case !errors.Is(err, ErrReleased):
				t.Error(err)
			}
		}
		v.rising()
		for i, x := range v.all {
			if i > 0 && x.at.Sub(v.all[i-1].at) != time.Millisecond {
				t.Errorf("holder %d came in %v after the last", i, x.at.Sub(v.all[i-1].at))
			}
		}
		if won != 1 {
			t.Errorf("%d were told that they released it", won)
		}
	})
}

func TestThoseWhoLeaveTheLineDuringATenureAreNotMissed(t *testing.T) {
	for name, leave := range map[string][]int{
		"the head":        {0},
		"the middle":      {4},
		"the last":        {9},
		"several":         {0, 1, 5, 9},
		"all but one":     {0, 1, 2, 3, 4, 5, 6, 7, 8},
		"everybody":       {0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
		"all, last first": {9, 8, 7, 6, 5, 4, 3, 2, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker()
				k := get(t, l, "k")
				var line []*result
				var cancels []context.CancelFunc
				for range 10 {
					ctx, cancel := context.WithCancel(t.Context())
					line, cancels = append(line, begin(ctx, l, "k")), append(cancels, cancel)
					synctest.Wait()
				}
				for _, i := range leave {
					cancels[i]()
				}
				synctest.Wait()
				last, asked := k, p.count("acquire")
				for i, r := range line {
					if slices.Contains(leave, i) {
						if !r.done() || !errors.Is(r.err, context.Canceled) {
							t.Errorf("number %d: %+v, want context.Canceled", i, r)
						}
						continue
					}
					free(t, last)
					synctest.Wait()
					if !r.done() || r.err != nil || r.lock.Token() <= last.Token() {
						t.Fatalf("number %d: %+v", i, r)
					}
					last = r.lock
				}
				if p.count("release") != 0 || p.count("acquire") != asked {
					t.Errorf("%d releases, %d acquires", p.count("release"), p.count("acquire"))
				}
				free(t, last)
				if b.lease("k") != "" {
					t.Error("the lease is left")
				}
				for _, cancel := range cancels {
					cancel()
				}
			})
		})
	}
}

func TestAShutdownEndsATenure(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		first := get(t, l, "k")
		second := begin(t.Context(), l, "k")
		synctest.Wait()
		var line []*result
		for range 5 {
			line = append(line, begin(t.Context(), l, "k"))
			synctest.Wait()
		}
		free(t, first)
		down := make(chan error, 1)
		go func() { down <- l.Shutdown(t.Context()) }()
		synctest.Wait()
		for _, r := range append(line, begin(t.Context(), l, "k")) {
			synctest.Wait()
			if !r.done() || !errors.Is(r.err, ErrClosed) {
				t.Errorf("in line: %+v, want ErrClosed", r)
			}
		}
		elapse(time.Minute)
		if len(down) > 0 || second.lock.Context().Err() != nil {
			t.Fatalf("the holder was not waited for: %v", context.Cause(second.lock.Context()))
		}
		free(t, second.lock)
		if err := <-down; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if p.count("release") != 1 || b.lease("k") != "" {
			t.Errorf("%d releases, lease %q", p.count("release"), b.lease("k"))
		}
	})
}

func TestAShutdownWithoutPatienceEndsATenure(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		first := get(t, l, "k")
		second := begin(t.Context(), l, "k")
		third := begin(t.Context(), l, "k")
		synctest.Wait()
		free(t, first)
		synctest.Wait()
		if !second.done() { // either may have been first
			second, third = third, second
		}
		if err := l.Close(); err == nil {
			t.Error("Close: no word of who was cut off")
		}
		synctest.Wait()
		if cause := context.Cause(second.lock.Context()); !errors.Is(cause, ErrLost) || !errors.Is(cause, ErrClosed) {
			t.Errorf("the holder: %v", cause)
		}
		if !third.done() || !errors.Is(third.err, ErrClosed) || b.lease("k") != "" {
			t.Errorf("third %+v, lease %q", third, b.lease("k"))
		}
		if err := second.lock.Release(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("Release: %v", err)
		}
	})
}

func TestAWaitInATenureEndsExactlyInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		v := &visits{t: t}
		v.line(l, "x", 50, 100*time.Millisecond, Wait(time.Hour)) // 5 s
		for _, wait := range []time.Duration{time.Nanosecond, time.Millisecond, 30 * time.Millisecond, 1999 * time.Millisecond, 4 * time.Second} {
			v.due.Go(func() {
				start := time.Now()
				if _, err := l.Acquire(t.Context(), "k", Wait(wait)); !errors.Is(err, ErrWaitTimeout) || time.Since(start) != wait {
					t.Errorf("%v after %v, want ErrWaitTimeout after %v", err, time.Since(start), wait)
				}
			})
		}
		v.rising()
	})
}
