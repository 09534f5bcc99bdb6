package core

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// farAhead is a fencing counter years ahead of the clock: what it does then is
// to be seen to the last token.
const farAhead = uint64(4_000_000_000_000_000)

// fence is where the counter of key's bucket stands.
func (b *bubble) fence(key string) uint64 {
	b.t.Helper()
	v, err := b.srv.Get("latchkey:{" + tagOf(b, key) + "}:fence")
	if err != nil {
		b.t.Fatal(err)
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func (b *bubble) setFence(key string, v uint64) {
	b.t.Helper()
	if err := b.srv.Set("latchkey:{"+tagOf(b, key)+"}:fence", fmt.Sprint(v)); err != nil {
		b.t.Fatal(err)
	}
}

// sibling is a key of the same bucket as "k".
const sibling = "s324"

// reserve has more tokens reserved for the lease of "k", as one who waits for it does.
func reserve(l *RedisLocker) {
	ctx, cancel := context.WithCancel(context.Background())
	begin(ctx, l, "k")
	synctest.Wait()
	cancel()
	synctest.Wait()
}

// The counter must not run ahead of the clock for tokens that nobody got.
func TestAReleaseRestoresTheCounter(t *testing.T) {
	for name, tt := range map[string]struct {
		waiters int
		gap     time.Duration // between the arrivals
		holds   time.Duration
	}{
		"alone":         {0, 0, time.Millisecond},
		"one behind":    {1, 0, time.Millisecond},
		"a slow line":   {20, 0, 10 * time.Millisecond},
		"a fast line":   {50, 10 * time.Millisecond, 10 * time.Microsecond},
		"over renewals": {5, time.Second, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				b.setFence("k", farAhead)
				l, _ := b.locker()
				other, _ := b.locker()
				v := &visits{t: t}
				k := get(t, l, "k")
				elapse(10 * time.Millisecond)
				for range tt.waiters {
					v.line(l, "x", 1, tt.holds)
					time.Sleep(tt.gap)
				}
				last := k.Token()
				free(t, k)
				for _, x := range v.rising() {
					last = x.token
				}
				synctest.Wait()
				// Of a block in reserve, what is before it stays used.
				if got := b.fence("k"); got < last || got > last+uint64(max(1, tt.waiters))*8192 {
					t.Errorf("the counter is at %d, the last token was %d", got, last)
				}
				next := get(t, other, "k")
				if next.Token() != b.fence("k") || next.Token() <= last {
					t.Errorf("token %d, counter %d, after %d", next.Token(), b.fence("k"), last)
				}
				free(t, next)
			})
		})
	}
}

// The lease's own tokens are in use; those of the block in reserve are not, and
// another key has got one after them.
func TestATokenOfAnotherKeyIsNeverGivenBack(t *testing.T) {
	for _, when := range []string{"before any", "between the blocks", "after both"} {
		t.Run(when, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				if tagOf(b, sibling) != tagOf(b, "k") {
					t.Fatal("another bucket")
				}
				b.setFence("k", farAhead)
				l, _ := b.locker()
				other, _ := b.locker()
				var got uint64 // by the other key
				take := func(at string) {
					if at == when {
						k := get(t, other, sibling)
						got = k.Token()
						free(t, k)
					}
				}
				take("before any")
				k := get(t, l, "k")
				take("between the blocks")
				reserve(l)
				if b.fence("k") < k.Token()+8 {
					t.Fatal("nothing is in reserve")
				}
				take("after both")
				free(t, k)
				synctest.Wait()
				if at := b.fence("k"); at < got || at < k.Token() {
					t.Errorf("the counter is at %d; tokens %d and %d are given out", at, got, k.Token())
				}
				for _, key := range []string{sibling, "k"} {
					again := get(t, other, key)
					if again.Token() <= max(got, k.Token()) {
						t.Errorf("%s: token %d after %d and %d", key, again.Token(), got, k.Token())
					}
					got = again.Token()
					free(t, again)
				}
				if at := b.fence("k"); when != "after both" && at >= farAhead+8 {
					t.Errorf("the counter is at %d: the block in reserve was not given back", at)
				}
			})
		})
	}
}

func TestALineThatOutrunsItsTokensLosesAFlightNotTheOrder(t *testing.T) {
	for name, fault := range map[string]func(call func() error) error{
		"renewals fail":        func(func() error) error { return io.EOF },
		"renewals are lost":    func(call func() error) error { _ = call(); return io.EOF },
		"renewals are slow":    func(call func() error) error { time.Sleep(700 * time.Millisecond); return call() },
		"answers are slow":     func(call func() error) error { err := call(); time.Sleep(700 * time.Millisecond); return err },
		"answers are too late": func(call func() error) error { err := call(); time.Sleep(20 * time.Second); return err },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				b.setFence("k", farAhead)
				l, p := b.locker(Wait(time.Hour))
				warm(t, l)
				p.via(func(op operation, call func() error) error {
					if op.kind == "renew" {
						return fault(call)
					}
					return call()
				})
				v := &visits{t: t}
				for i := range 100 {
					v.line(l, fmt.Sprintf("%02d", i), 1, 20*time.Millisecond)
				}
				for i, x := range v.rising() {
					if x.who != fmt.Sprintf("%02d", i) {
						t.Fatalf("holder %d was %s", i, x.who)
					}
				}
				// A trip takes no time here.
				if d := v.all[99].at.Sub(v.all[0].at); d != 99*20*time.Millisecond {
					t.Errorf("took %v", d)
				}
				elapse(time.Minute)
			})
		})
	}
}

// Each lease comes with as many tokens as the last one needed.
func TestALeaseComesWithTokensForTheLine(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		here, p := b.locker()
		there, _ := b.locker()
		warm(t, here)
		warm(t, there)
		k := get(t, there, "k")
		v := &visits{t: t}
		v.line(here, "h", 100, 10*time.Microsecond)
		free(t, k)
		v.rising()
		first := p.count("release")
		elapse(time.Second)
		// The second is asked for before the line has formed; the first was
		// asked for by one who was alone.
		k = get(t, here, "k")
		v.line(here, "h", 100, 10*time.Microsecond)
		free(t, k)
		v.rising()
		if second := p.count("release") - first; first > 3 || second > 2 {
			t.Errorf("%d and %d releases for lines of 100", first, second)
		}
	})
}

func TestTokensAreNotAskedForAndThrownAway(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.setFence("k", farAhead)
		l, p := b.locker()
		v := &visits{t: t}
		k := get(t, l, "k")
		for range 100 { // all within 5 ms of the grant
			v.line(l, "x", 1, 20*time.Microsecond)
			time.Sleep(50 * time.Microsecond)
		}
		if n := p.count("renew"); n > 3 {
			t.Errorf("%d renewals for tokens", n)
		}
		free(t, k)
		last := v.rising()[99].token
		elapse(time.Millisecond)
		if at := b.fence("k"); at > last+1000 {
			t.Errorf("the counter is %d ahead of the last token", at-last)
		}
	})
}
