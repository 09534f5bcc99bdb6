package core

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// visit is one hold: whose, and when it began.
type visit struct {
	who     string
	at      time.Time
	token   uint64
	handoff Handoff
}

// visits are the holds of one key in the order of their beginnings.
type visits struct {
	t   *testing.T
	mu  sync.Mutex
	all []visit
	due sync.WaitGroup // those in line
}

// line puts n requests in line, one behind another, each of which stays for as
// long once it holds.
func (v *visits) line(l Locker, who string, n int, stay time.Duration, opts ...AcquireOption) {
	for range n {
		v.due.Go(func() {
			k, err := l.Acquire(v.t.Context(), "k", opts...)
			if err != nil {
				v.t.Errorf("%s: %v", who, err)
				return
			}
			v.mu.Lock()
			v.all = append(v.all, visit{who, time.Now(), k.Token(), k.Info().Handoff})
			v.mu.Unlock()
			time.Sleep(stay)
			if err := k.Release(context.WithoutCancel(v.t.Context())); err != nil {
				v.t.Errorf("%s: Release: %v", who, err)
			}
		})
		synctest.Wait()
	}
}

// rising waits for all in line, and fails the test unless each token is higher
// than the one before.
func (v *visits) rising() []visit {
	v.t.Helper()
	v.due.Wait()
	for i, x := range v.all {
		if i > 0 && x.token <= v.all[i-1].token {
			v.t.Fatalf("holder %d has token %d after %d", i, x.token, v.all[i-1].token)
		}
	}
	return v.all
}

// order is who held, one letter each.
func (v *visits) order() string {
	s := ""
	for _, x := range v.all {
		s += x.who
	}
	return s
}

// queued is how many entries wait in Redis, over all keys.
func (b *bubble) queued() (n int) {
	for _, name := range b.srv.Keys() {
		if members, err := b.srv.ZMembers(name); err == nil {
			n += len(members)
		}
	}
	return n
}

func TestALongLineIsHandedOnInOrderWithoutAWordToRedis(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		const n = 400
		l, p := b.locker()
		v := &visits{t: t}
		k := get(t, l, "k")
		for i := range n {
			v.line(l, fmt.Sprintf("%03d ", i), 1, 20*time.Microsecond)
			time.Sleep(50 * time.Microsecond)
		}
		lease, asked := backend.Entry(b.lease("k")).ID(), p.count("renew")
		if free(t, k); p.count("release") != 0 {
			t.Error("the first release went to Redis")
		}
		elapse(5 * time.Millisecond)
		if backend.Entry(b.lease("k")).ID() != lease || b.queued() != 0 {
			t.Errorf("lease %q, %d queued; want the first one's still, and nobody", b.lease("k"), b.queued())
		}
		for i, x := range v.rising() {
			if want := fmt.Sprintf("%03d ", i); x.who != want || x.handoff != HandoffLocal {
				t.Fatalf("holder %d was %s by %v", i, x.who, x.handoff)
			}
		}
		synctest.Wait()
		if a, r := p.count("acquire"), p.count("release"); a != 1 || r != 1 {
			t.Errorf("%d acquires, %d releases for %d holders; want one each", a, r, n)
		}
		// Renewals bring the tokens, a block at a time.
		if more := p.count("renew") - asked; more > 3 {
			t.Errorf("%d renewals during %d handoffs", more, n)
		}
		if b.lease("k") != "" {
			t.Error("the lease is left")
		}
	})
}

func TestATenureHasNoEndWhileNobodyElseWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(3*time.Second), Wait(time.Hour), Tenure(10*time.Millisecond))
		v := &visits{t: t}
		v.line(l, "x", 200, time.Second)
		v.rising()
		if d := time.Since(v.all[0].at); d != 200*time.Second {
			t.Errorf("took %v", d)
		}
		if a, r := p.count("acquire"), p.count("release"); a != 1 || r != 1 {
			t.Errorf("%d acquires, %d releases in 66 times the TTL; want one each", a, r)
		}
	})
}

func TestATenureEndsAtTheFirstReleaseAfterItOnceAnotherProcessWaits(t *testing.T) {
	for name, tt := range map[string]struct {
		tenure time.Duration
		comes  time.Duration // when the other process begins to wait
		want   string
	}{
		"from the start":            {100 * time.Millisecond, 5 * time.Millisecond, "hhhhohhh"},
		"a tenure of a hold's time": {30 * time.Millisecond, 5 * time.Millisecond, "hohhhhhh"},
		// Between its grant and the other's coming, the tenure cost nobody time.
		"after the tenure":        {20 * time.Millisecond, 155 * time.Millisecond, "hhhhhhoh"},
		"a tenure of a minute":    {MaxTenure, 5 * time.Millisecond, "hhhhhhho"},
		"none":                    {0, 5 * time.Millisecond, "hohhhhhh"},
		"just before its end":     {90*time.Millisecond + 1, 5 * time.Millisecond, "hhhhohhh"},
		"a release exactly at it": {90 * time.Millisecond, 5 * time.Millisecond, "hhhohhhh"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				here, _ := b.locker(Tenure(tt.tenure))
				other, _ := b.locker(Tenure(tt.tenure))
				warm(t, here)
				warm(t, other)
				v := &visits{t: t}
				v.line(here, "h", 7, 30*time.Millisecond)
				time.Sleep(tt.comes)
				v.line(other, "o", 1, 30*time.Millisecond)
				v.rising()
				if got := v.order(); got != tt.want {
					t.Errorf("order %s, want %s", got, tt.want)
				}
			})
		})
	}
}

func TestWithoutTenureProcessesTakeTurns(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		v := &visits{t: t}
		var lockers []*RedisLocker
		for range 3 {
			l, _ := b.locker(Tenure(0))
			warm(t, l)
			lockers = append(lockers, l)
		}
		for range 10 {
			for i, l := range lockers {
				v.line(l, string(rune('a'+i)), 1, 20*time.Millisecond)
			}
		}
		v.rising()
		if got := v.order(); got != "abcabcabcabcabcabcabcabcabcabc" {
			t.Errorf("order %s", got)
		}
	})
}

// The lease in Redis still names the first.
func TestTheNextProcessHearsWhoWasTheLastHolderOfATenure(t *testing.T) {
	for name, more := range map[string]bool{"nobody else waits here": false, "another waits here": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				here, _ := b.locker()
				there, _ := b.locker()
				first := get(t, here, "k", WithMeta(Meta{RequestID: "first"}))
				second := begin(t.Context(), here, "k", WithMeta(Meta{RequestID: "second"}))
				elapse(time.Millisecond)
				next := begin(t.Context(), there, "k")
				elapse(time.Millisecond)
				var third *result
				if more {
					third = begin(t.Context(), here, "k")
					elapse(time.Millisecond)
				}
				free(t, first)
				elapse(defaultTenure)
				free(t, second.lock)
				synctest.Wait()
				if !next.done() || next.err != nil {
					t.Fatalf("not granted: %+v", next)
				}
				if i := next.lock.Info(); i.Blocker.RequestID != "first" || i.Predecessor == nil || i.Predecessor.RequestID != "second" {
					t.Errorf("blocker %+v, predecessor %+v; want the first and the second", i.Blocker, i.Predecessor)
				}
				free(t, next.lock)
				if synctest.Wait(); more {
					free(t, third.lock)
				}
			})
		})
	}
}

// Back and forth, with lines on both sides: tokens rise also across blocks that
// were reserved and not used up.
func TestTenuresOfProcessesAlternateAndTokensRise(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		v := &visits{t: t}
		here, p := b.locker(Tenure(5 * time.Millisecond))
		there, q := b.locker(Tenure(5 * time.Millisecond))
		warm(t, here)
		warm(t, there)
		for range 150 {
			v.line(here, "h", 1, time.Millisecond)
			v.line(there, "t", 1, time.Millisecond)
		}
		changes := 0
		for i, x := range v.rising() {
			if i > 0 && x.who != v.all[i-1].who {
				changes++
				if x.handoff != HandoffRemote {
					t.Errorf("holder %d came by %v", i, x.handoff)
				}
			}
		}
		if len(v.all) != 300 || changes < 40 || changes > 70 {
			t.Errorf("%d holders, %d handovers; want 300 and one every 5 or so", len(v.all), changes)
		}
		if a, r := p.count("acquire")+q.count("acquire"), p.count("release")+q.count("release"); a > 10 || r > changes+5 {
			t.Errorf("%d acquires, %d releases for %d handovers", a, r, changes)
		}
	})
}

// Whoever passes the lock on among its own would go on for ever if it did not
// know that another waits.
func TestALostContentionNoteIsMadeUpFor(t *testing.T) {
	// deafen makes as if no note had come, nor will.
	deafen := func(l *RedisLocker) {
		l.mu.Lock()
		h := l.listener
		l.mu.Unlock()
		h.Close()
	}
	for name, tt := range map[string]struct {
		ttl  time.Duration
		lose func(l *RedisLocker)
		most time.Duration
	}{
		"by a renewal": {3 * time.Second, deafen, 2 * time.Second},
		"by the renewal that follows a new subscription": {12 * time.Hour, func(l *RedisLocker) {
			deafen(l)
			l.mu.Lock()
			l.listener = nil
			l.listen(l.subscriptions[0])
			l.mu.Unlock()
		}, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, _ := b.locker(TTL(tt.ttl), Wait(time.Hour))
				other, _ := b.locker(TTL(tt.ttl), Wait(time.Hour))
				warm(t, l)
				warm(t, other)
				v := &visits{t: t}
				k := get(t, l, "k")
				reserve(l) // else renewals for more would tell
				v.line(l, "h", 20, time.Second)
				elapse(100 * time.Millisecond)
				free(t, k)
				synctest.Wait()
				deafen(l)
				start := time.Now()
				v.line(other, "o", 1, 0)
				tt.lose(l)
				v.rising()
				i := slices.IndexFunc(v.all, func(x visit) bool { return x.who == "o" })
				if d := v.all[i].at.Sub(start); d > tt.most {
					t.Errorf("the other came in after %v, as number %d; want at most %v", d, i, tt.most)
				}
			})
		})
	}
}
