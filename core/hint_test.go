package core

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/engine"
)

func TestForHowLongOneWillBeInTheWay(t *testing.T) {
	steady := func(d time.Duration) holdTimes { return holdTimes{mean: d} }
	const second = time.Second
	for name, c := range map[string]struct {
		o    obstacle
		want time.Duration
	}{
		"nothing is known":                       {obstacle{}, firstGuess},
		"nothing but a young holder":             {obstacle{age: 100 * time.Millisecond}, firstGuess},
		"it holds for a while":                   {obstacle{age: second}, 2 * second},
		"it holds for long":                      {obstacle{age: time.Hour}, maxGuess},
		"others are in line":                     {obstacle{age: second / 2, ahead: 3}, 5 * second / 2},
		"many others are":                        {obstacle{age: second / 2, ahead: 300}, maxGuess},
		"its usual hold has begun":               {obstacle{usual: steady(8 * second)}, 9 * second},
		"its usual hold is half over":            {obstacle{usual: steady(8 * second), age: 5 * second}, 4 * second},
		"holds vary":                             {obstacle{usual: holdTimes{second, 3 * second}}, 4 * second},
		"those in line hold, too":                {obstacle{usual: steady(8 * second), age: 5 * second, ahead: 2}, 20 * second},
		"it is over its time":                    {obstacle{usual: steady(second), age: 3 * second / 2}, 3 * second},
		"it is far over its time":                {obstacle{usual: steady(time.Millisecond), age: second / 100}, firstGuess},
		"it is over its time, others in line":    {obstacle{usual: steady(second), age: 3 * second / 2, ahead: 2}, 5 * second},
		"its lease is not renewed":               {obstacle{usual: steady(20 * second), bound: 3 * second}, 3 * second},
		"its lease has been renewed just now":    {obstacle{bound: 10 * second}, firstGuess},
		"never at once":                          {obstacle{usual: steady(time.Microsecond)}, minRetryHint},
		"never at once, its lease ends just now": {obstacle{bound: time.Microsecond}, minRetryHint},
		"never much later":                       {obstacle{usual: steady(time.Hour), ahead: 100}, maxRetryHint},
	} {
		if c.o.bound == 0 {
			c.o.bound = maxRetryHint
		}
		if got := c.o.lasts(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// hintTo is what one who does not wait is told.
func hintTo(t *testing.T, l *RedisLocker, key string, opts ...AcquireOption) time.Duration {
	t.Helper()
	_, err := l.TryAcquire(t.Context(), key, opts...)
	ae, ok := errors.AsType[*AcquireError](err)
	if !ok || ae.Err != ErrHeld {
		t.Fatalf("%v, want ErrHeld", err)
	}
	return ae.Info.RetryAfter
}

// between checks a hint, with its jitter.
func between(t *testing.T, what string, hint, from, to time.Duration) {
	t.Helper()
	if hint < from || hint > to {
		t.Errorf("%s: %v, want between %v and %v", what, hint, from, to)
	}
}

// holdFor has l hold key for d, n times.
func holdFor(t *testing.T, l *RedisLocker, key string, n int, d time.Duration, opts ...AcquireOption) {
	t.Helper()
	for range n {
		k := get(t, l, key, opts...)
		elapse(d)
		free(t, k)
	}
}

func TestWhatIsQuickElsewhereIsNoHintHere(t *testing.T) {
	fast, slow := Name("POST /fast/{id}"), Name("POST /slow/{id}")
	for name, c := range map[string]struct {
		fastKey    string
		fast, slow []AcquireOption
	}{
		"another key":                {"another", nil, nil},
		"another route":              {"another", []AcquireOption{fast}, []AcquireOption{slow}},
		"another route, on this key": {"k", []AcquireOption{fast}, []AcquireOption{slow}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, _ := b.locker()
				holdFor(t, l, c.fastKey, 50, time.Millisecond, c.fast...)
				k := get(t, l, "k", c.slow...)
				between(t, "the first", hintTo(t, l, "k", c.slow...), firstGuess, time.Second)
				between(t, "of a fast one", hintTo(t, l, "k", c.fast...), firstGuess, time.Second)
				elapse(2 * time.Second)
				free(t, k)
				// It has been seen, on this key and its route.
				k = get(t, l, "k", c.slow...)
				between(t, "the second time", hintTo(t, l, "k", c.slow...), 2*time.Second, 3500*time.Millisecond)
				elapse(time.Second)
				between(t, "after half of it", hintTo(t, l, "k", c.slow...), time.Second, 2*time.Second)
				free(t, k)
			})
		})
	}
}

func TestARoutesHoldsAreAHintForEachOfItsKeys(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		other, _ := b.locker()
		holdFor(t, l, "another", 5, time.Second, Name("route"))
		k := get(t, l, "k", Name("route"))
		between(t, "held here", hintTo(t, l, "k", Name("another route")), time.Second, 2*time.Second)
		free(t, k)
		synctest.Wait()
		k = get(t, other, "m", Name("route"))
		between(t, "held elsewhere", hintTo(t, l, "m", Name("route")), time.Second, 2*time.Second)
		free(t, k)
	})
}

// asTold tells when the attempts come of one who is refused and does as it is told,
// the first at 0.
func asTold(t *testing.T, l *RedisLocker, key string, n int) (at []time.Duration) {
	t.Helper()
	start := time.Now()
	for range n {
		at = append(at, time.Since(start))
		elapse(hintTo(t, l, key))
	}
	return append(at, time.Since(start))
}

// Wherever the holder is, and whatever was seen of others: three further attempts
// outlast a hold of 2 s, and do not wait for its TTL.
func TestHintsGrowWithTheHoldersAge(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		for _, usual := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond} {
			t.Run(fmt.Sprint("elsewhere: ", elsewhere, ", usually ", usual), func(t *testing.T) {
				inBubble(t, func(t *testing.T, b *bubble) {
					l, _ := b.locker(Name("route"))
					holder := l
					if elsewhere {
						holder, _ = b.locker(Name("route"))
					}
					if usual > 0 {
						holdFor(t, l, "another", 20, usual)
					}
					k := get(t, holder, "k", TTL(time.Minute))
					synctest.Wait()
					at := asTold(t, l, "k", 3)
					if at[3] < 2*time.Second || at[3] > 12*time.Second || at[1] > max(time.Second, 2*usual) {
						t.Errorf("attempts at %v", at)
					}
					between(t, "after a minute", func() time.Duration { elapse(time.Minute); return hintTo(t, l, "k") }(), maxGuess, maxGuess*3/2)
					free(t, k)
				})
			})
		}
	}
}

func TestANewHolderIsYoung(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		other, _ := b.locker()
		k := get(t, other, "k")
		_ = asTold(t, l, "k", 3)
		free(t, k)
		k = get(t, other, "k")
		between(t, "its hint", hintTo(t, l, "k"), firstGuess, time.Second)
		free(t, k)
	})
}

func TestThoseInLineCount(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker(Name("route"))
		holdFor(t, l, "another", 5, time.Second)
		k := get(t, l, "k")
		var line []*result
		for range 3 {
			line = append(line, begin(t.Context(), l, "k"))
			synctest.Wait()
		}
		between(t, "behind three", hintTo(t, l, "k"), 4*time.Second, 6500*time.Millisecond)
		// One whose wait is over is not before itself.
		_, err := l.Acquire(t.Context(), "k", Wait(time.Millisecond))
		ae, _ := errors.AsType[*AcquireError](err)
		between(t, "no longer in line", ae.Info.RetryAfter, 4*time.Second, 6500*time.Millisecond)
		free(t, k)
		for _, r := range line {
			synctest.Wait()
			free(t, r.lock)
		}
	})
}

// Those who were refused together do not come back together.
func TestHintsAreSpread(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		k := get(t, l, "k")
		var all []time.Duration
		for range 1000 {
			all = append(all, hintTo(t, l, "k"))
		}
		if least, most := slices.Min(all), slices.Max(all); least < firstGuess || most > time.Second || most-least < firstGuess*4/10 {
			t.Errorf("between %v and %v", least, most)
		}
		free(t, k)
	})
}

func TestAHintIsNotLongerThanALeaseThatIsNotRenewed(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker(Name("route"))
		holdFor(t, l, "another", 1, time.Minute, TTL(time.Minute))
		k := get(t, l, "k", TTL(3*time.Second), MaxHold(time.Second))
		elapse(time.Second + time.Millisecond)
		between(t, "of one who must stop", hintTo(t, l, "k"), minRetryHint, 4500*time.Millisecond)
		free(t, k)
	})
}

func TestTheHintInAnOutageIsTheOutages(t *testing.T) {
	l := &RedisLocker{history: newHistory()}
	r, in := &request{}, &engine.Obstacle{}
	for range 100 {
		between(t, "down", l.retryHint(r, in, ErrBackend, io.EOF, time.Now()), downRetryHint*3/4, downRetryHint*5/4)
		between(t, "more than goes out", l.retryHint(r, in, ErrQueueFull, errNotSent, time.Now()), downRetryHint*3/4, downRetryHint*5/4)
	}
	if hint := l.retryHint(r, in, ErrClosed, nil, time.Now()); hint != 0 {
		t.Errorf("shutting down: %v", hint)
	}
}
