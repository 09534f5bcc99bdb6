package core

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// Requests are used again. An alarm that was set for an earlier wait must never
// end a later one's, and every later one's end must come.
func TestEveryShortWaitEndsInItsOwnTime(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		const callers, rounds = 40, 60
		l, _ := b.locker(Tenure(time.Millisecond))
		other, _ := b.locker(Tenure(time.Millisecond))
		warm(t, l)
		warm(t, other)
		var all sync.WaitGroup
		var mu sync.Mutex
		granted, over, left := 0, 0, 0
		for i := range callers {
			r := rand.New(rand.NewPCG(uint64(i), 7))
			all.Go(func() {
				for range rounds {
					in := l
					if r.IntN(8) == 0 {
						in = other
					}
					key := []string{"k", "k2"}[r.IntN(2)]
					wait := time.Duration(r.IntN(3000)) * time.Microsecond
					if r.IntN(10) == 0 {
						wait = time.Hour
					}
					ctx, cancel := context.WithCancel(t.Context())
					gone := 24 * time.Hour
					if r.IntN(4) == 0 {
						gone = time.Duration(r.IntN(2000))*time.Microsecond + 1
						defer time.AfterFunc(gone, cancel).Stop()
					}
					start := time.Now()
					k, err := in.Acquire(ctx, key, Wait(wait))
					waited := time.Since(start)
					switch {
					case err == nil:
						time.Sleep(100 * time.Microsecond)
						if err := k.Release(context.WithoutCancel(ctx)); err != nil {
							t.Error(err)
						}
					case errors.Is(err, ErrHeld) && wait == 0:
					case errors.Is(err, ErrWaitTimeout) && waited == wait:
					case errors.Is(err, context.Canceled) && waited == gone:
					default:
						t.Errorf("Wait(%v), cancelled after %v: %v after %v", wait, gone, err, waited)
					}
					mu.Lock()
					switch {
					case err == nil:
						granted++
					case errors.Is(err, context.Canceled):
						left++
					default:
						over++
					}
					mu.Unlock()
					time.Sleep(time.Duration(r.IntN(200)) * time.Microsecond)
					cancel()
				}
			})
		}
		all.Wait()
		if granted < 100 || over < 100 || left < 100 {
			t.Errorf("%d granted, %d waits over, %d cancelled: too few to see", granted, over, left)
		}
	})
}

// A wait that Redis answered in time has no alarm; one that goes on has.
func TestAWaitForAnotherProcessEndsExactlyInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		other, _ := b.locker()
		warm(t, l)
		k := get(t, other, "k")
		for _, wait := range []time.Duration{
			time.Nanosecond, time.Millisecond, time.Second, backendTimeout - 1, backendTimeout, backendTimeout + 1, time.Minute,
		} {
			for range 3 {
				start := time.Now()
				_, err := l.Acquire(t.Context(), "k", Wait(wait))
				if !errors.Is(err, ErrWaitTimeout) && wait > time.Nanosecond || time.Since(start) != wait {
					t.Errorf("%v after %v, want ErrWaitTimeout after %v", err, time.Since(start), wait)
				}
			}
		}
		free(t, k)
	})
}

// Nothing of an earlier request is in a later one's outcome.
func TestARequestStartsAfresh(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		k := get(t, l, "k", WithMeta(Meta{RequestID: "holder"}))
		for range 20 {
			_, err := l.Acquire(t.Context(), "k", Wait(0), TTL(time.Second), WithMeta(Meta{RequestID: "one"}))
			var ae *AcquireError
			if !errors.As(err, &ae) || ae.Info.Position != 1 || ae.Info.Blocker == nil {
				t.Fatalf("%v", err)
			}
			other := get(t, l, "free")
			i := other.Info()
			if i.Contended || i.Position != 0 || i.Blocker != nil || i.RetryAfter != 0 || i.Predecessor != nil || i.LeaseTTL != 10*time.Second {
				t.Errorf("info %+v", i)
			}
			if other.meta.RequestID != "" || other.Key() != "free" {
				t.Errorf("meta %+v, key %q", other.meta, other.Key())
			}
			if ae.Info.Blocker.RequestID != "holder" || ae.Key != "k" {
				t.Errorf("the error has changed: %+v", ae)
			}
			free(t, other)
		}
		free(t, k)
	})
}

// Its function may be running still, and would end another's wait.
func TestARequestWhoseAlarmWentOffIsNotUsedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		r := l.newRequest("k", time.Now())
		l.deadlines.Set(&r.patience, time.Now(), r)
		elapse(time.Millisecond)
		l.reuse(r)
		for range 100 {
			if l.newRequest("k", time.Now()) == r {
				t.Fatal("it is")
			}
		}
	})
}

// A server cancels the context of a request whose client has given up because the
// deadline of both has passed.
func TestACancellationAtTheDeadlineIsTheDeadline(t *testing.T) {
	for name, c := range map[string]struct {
		end  time.Duration // of the context, whose deadline is after a second
		want error
	}{
		"at its deadline":  {999 * time.Millisecond, context.DeadlineExceeded},
		"well before that": {500 * time.Millisecond, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, _ := b.locker()
				defer free(t, get(t, l, "k"))
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				time.AfterFunc(c.end, cancel)
				_, err := l.Acquire(ctx, "k")
				if ae, ok := errors.AsType[*AcquireError](err); !ok || ae.Err != c.want || ae.Cause != context.Canceled {
					t.Errorf("%v, want %v", err, c.want)
				}
			})
		})
	}
}

func TestAShortWaitEndsInTimeAlsoWhileRedisIsSilent(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		free(t, get(t, l, "k"))
		p.via(outages["is silent"])
		start := time.Now()
		_, err := l.Acquire(t.Context(), "k", Wait(50*time.Millisecond))
		if !errors.Is(err, ErrBackend) || time.Since(start) != 50*time.Millisecond {
			t.Errorf("%v after %v, want ErrBackend after 50ms", err, time.Since(start))
		}
		p.via(nil)
		elapse(time.Minute)
	})
}

// A lease that is always shorter than its grant's way is no reason to ask for
// ever.
func TestNobodyWaitsForeverForALeaseThatIsTooShort(t *testing.T) {
	for _, wait := range []time.Duration{0, 30 * time.Second} {
		inBubble(t, func(t *testing.T, b *bubble) {
			l, p := b.locker()
			p.via(func(op operation, call func() error) error {
				err := call()
				time.Sleep(20 * time.Millisecond)
				return err
			})
			start := time.Now()
			_, err := l.Acquire(t.Context(), "k", TTL(MinTTL), Wait(wait))
			if !errors.Is(err, ErrBackend) || !errors.Is(err, errLapsed) {
				t.Errorf("Wait(%v): %v", wait, err)
			}
			if d := time.Since(start); d > backendTimeout+time.Second {
				t.Errorf("Wait(%v): told after %v", wait, d)
			}
			p.via(nil)
			elapse(time.Second)
		})
	}
}
