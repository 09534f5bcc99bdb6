package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

const ttl = 500 * time.Millisecond

// found returns which oracles note something about what happens to the caller of a
// world in which nothing goes wrong, but for what happens sets up.
func found(t *testing.T, happens func(t *testing.T, c *caller)) string {
	var noted []string
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.plan = plan{lockers: 1, callers: 1, keys: 1, ttl: ttl, delay: time.Millisecond}
		w.plan.tenures, w.plan.heeds = []time.Duration{0}, []bool{false}
		c := &caller{world: w, hook: &hook{world: w, asked: map[string]time.Duration{}}, random: w.random("caller", 0)}
		happens(t, c)
		w.late.Wait()
		for _, v := range w.found {
			noted = append(noted, v.Oracle)
		}
	})
	slices.Sort(noted)
	return strings.Join(slices.Compact(noted), " ")
}

// lock is one that is proven until a moment of its own.
type lock struct {
	core.Lock
	ctx    context.Context
	stop   context.CancelCauseFunc
	proven time.Time
	err    error // of its release
}

func newLock(proven time.Duration) *lock {
	l := &lock{proven: time.Now().Add(proven)}
	l.ctx, l.stop = context.WithCancelCause(context.Background())
	return l
}

func (l *lock) Token() uint64            { return 1 }
func (l *lock) Context() context.Context { return l.ctx }

func (l *lock) Remaining() time.Duration {
	if l.ctx.Err() != nil {
		return 0
	}
	return max(0, time.Until(l.proven))
}

func (l *lock) Release(context.Context) error {
	l.stop(core.ErrReleased)
	return l.err
}

func TestOraclesTellAHoldersLockFromWhatIsNone(t *testing.T) {
	lost := func(l *lock, after time.Duration) {
		go func() {
			time.Sleep(after)
			l.stop(core.ErrLost)
		}()
	}
	for name, c := range map[string]struct {
		happens func(c *caller) *lock
		found   string
	}{
		"proven to the end": {
			happens: func(*caller) *lock { return newLock(10 * ttl) },
		},
		"without proof": {
			happens: func(c *caller) *lock {
				l := newLock(0)
				l.stop(core.ErrReleased)
				return l
			},
			found: "O2",
		},
		"not proven any more, and not told": {
			happens: func(*caller) *lock { return newLock(time.Millisecond) },
			found:   "O4",
		},
		"told when it is not proven any more": {
			happens: func(c *caller) *lock {
				c.plan.pauses = 1
				l := newLock(time.Millisecond)
				lost(l, time.Millisecond)
				return l
			},
		},
		"proven for longer than what Redis has forgotten lasts": {
			happens: func(c *caller) *lock {
				c.plan.restarts, c.plan.forgets = 1, true
				c.forgot.Store(int64(c.now() + 1))
				return newLock(10 * ttl)
			},
			found: "O4",
		},
		"proven for as long as what Redis has forgotten lasts": {
			happens: func(c *caller) *lock {
				c.plan.restarts, c.plan.forgets = 1, true
				c.forgot.Store(int64(c.now() + 1))
				return newLock(ttl)
			},
		},
		"lost": {
			happens: func(c *caller) *lock {
				l := newLock(10 * ttl)
				lost(l, time.Millisecond)
				return l
			},
			found: "O7",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := found(t, func(t *testing.T, caller *caller) {
				l := c.happens(caller)
				caller.hold(l, &history.Attempt{Key: keyName(0), Outcome: history.Granted, Token: 1, Return: caller.now()})
			}); got != c.found {
				t.Errorf("%q find something, want %q", got, c.found)
			}
		})
	}
}

// Only an acquire brings a lease anew that Redis has forgotten, and only of its key.
func TestWhatIsAskedOfRedisIsKnown(t *testing.T) {
	call := func(op string, keys ...string) []any {
		args := []any{"evalsha", "", 3 * len(keys)}
		for _, key := range keys {
			args = append(args, "latchkey:{00}:l:"+key, "latchkey:{00}:q:"+key, "latchkey:{00}:fence")
		}
		return append(args, op, "entry", "0")
	}
	for name, c := range map[string]struct {
		args  []any
		since time.Duration
		want  bool
	}{
		"an acquire":           {args: call("acquire", "k0"), want: true},
		"one among others":     {args: call("acquire", "k1", "k0"), want: true},
		"an acquire of before": {args: call("acquire", "k0"), since: 1},
		"a renewal":            {args: call("renew", "k0")},
		"of another key":       {args: call("acquire", "k1", "k00")},
	} {
		if got := found(t, func(t *testing.T, caller *caller) {
			caller.hook.carriedOut(c.args)
			if got := caller.hook.askedSince("k0", c.since); got != c.want {
				t.Errorf("%s: %v", name, got)
			}
		}); got != "" {
			t.Errorf("%s: %q find something", name, got)
		}
	}
}

func TestOraclesTellWhichErrorsThereMayBe(t *testing.T) {
	const never = history.Never
	backend := &core.AcquireError{Err: core.ErrBackend, Cause: context.DeadlineExceeded}
	deadline := &core.AcquireError{Err: context.DeadlineExceeded, Cause: context.DeadlineExceeded}
	for name, c := range map[string]struct {
		err                error
		wait, at, deadline time.Duration
		disorderly         bool
		found              string
	}{
		"held":                        {err: core.ErrHeld, deadline: never},
		"held, and would have waited": {err: core.ErrHeld, wait: 1, deadline: never, found: "O7"},
		"waited for too long":         {err: core.ErrWaitTimeout, wait: 1, deadline: never, found: "O7"},
		"no answer, in order":         {err: core.ErrBackend, deadline: never, found: "O7"},
		"no answer":                   {err: core.ErrBackend, deadline: never, disorderly: true},
		"a call's deadline, in order": {err: backend, at: 7, deadline: 5, found: "O7"},
		"a call's deadline":           {err: backend, deadline: never, disorderly: true},
		"at the deadline":             {err: deadline, at: 5, deadline: 5},
		"before the deadline":         {err: deadline, at: 4, deadline: 5, disorderly: true, found: "O7"},
		"without a deadline":          {err: deadline, at: 4, deadline: never, found: "O7"},
		"cancelled by nobody":         {err: context.Canceled, deadline: never, found: "O7"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := found(t, func(t *testing.T, caller *caller) {
				if c.disorderly {
					caller.plan.wire = 1
				}
				caller.outcome(c.err, c.wait, c.at, c.deadline)
			}); got != c.found {
				t.Errorf("%q find something, want %q", got, c.found)
			}
		})
	}
}

func TestOraclesTellWhichErrorsOfAReleaseThereMayBe(t *testing.T) {
	for name, c := range map[string]struct {
		err                   error
		cancelled, disorderly bool
		found                 string
	}{
		"none":                {},
		"lost":                {err: core.ErrLost, disorderly: true},
		"lost, in order":      {err: core.ErrLost, found: "O7"},
		"no answer":           {err: core.ErrBackend, disorderly: true},
		"no answer, in order": {err: core.ErrBackend, found: "O7"},
		"not waited for":      {err: context.Canceled, cancelled: true},
		"another":             {err: errors.New("another"), disorderly: true, found: "O7"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := found(t, func(t *testing.T, caller *caller) {
				if c.disorderly {
					caller.plan.wire = 1
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.cancelled {
					cancel()
				}
				caller.released(ctx, c.err)
			}); got != c.found {
				t.Errorf("%q find something, want %q", got, c.found)
			}
		})
	}
}

func TestAReturnLongAfterTheDeadlineIsFound(t *testing.T) {
	for late, want := range map[time.Duration]string{0: "", 30 * time.Millisecond: "", 31 * time.Millisecond: "O7"} {
		if got := found(t, func(t *testing.T, c *caller) { c.onTime(time.Second+late, time.Second) }); got != want {
			t.Errorf("%v late: %q find something, want %q", late, got, want)
		}
	}
}

// What is left at a key is seen while it is there, and nobody else may have brought it.
func TestWhatIsLeftBehindIsFound(t *testing.T) {
	key := keyName(0)
	for name, c := range map[string]struct {
		happens func(c *caller) // when the last caller has left
		found   string
	}{
		"a lease":  {func(c *caller) { _ = c.redis.Set("x:l:"+key, "owner") }, "O6"},
		"a queue":  {func(c *caller) { _, _ = c.redis.ZAdd("x:q:"+key, 1, "waiter") }, "O6"},
		"nothing":  {func(*caller) {}, ""},
		"a fence":  {func(c *caller) { _ = c.redis.Set("x:fence", "1") }, ""},
		"a return": {func(c *caller) { _ = c.redis.Set("x:l:"+key, "owner"); c.enter(key) }, ""},
		"a lease of which nothing can be told": {func(c *caller) {
			c.plan.wire = 1
			c.enter(key)
			c.leave(key)
			_ = c.redis.Set("x:l:"+key, "owner")
		}, ""},
		"a lease for a while": {func(c *caller) {
			_ = c.redis.Set("x:l:"+key, "owner")
			time.Sleep(c.plan.tidied() / 2)
			c.redis.Del("x:l:" + key)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := found(t, func(t *testing.T, caller *caller) {
				caller.enter(key)
				caller.leave(key)
				c.happens(caller)
			}); got != c.found {
				t.Errorf("%q find something, want %q", got, c.found)
			}
		})
	}
}

// What a late request brings is seen when its asker should have cleaned up.
func TestWhatALateRequestBringsIsFound(t *testing.T) {
	name := "x:l:" + keyName(0)
	for gone, want := range map[bool]string{true: "", false: "O6"} {
		if got := found(t, func(t *testing.T, c *caller) {
			c.settled.Store(true)
			(&trip{hook: c.hook}).revenant(time.Now(), func() { _ = c.redis.Set(name, "owner") })
			if gone {
				c.redis.Del(name)
			}
		}); got != want {
			t.Errorf("it is gone: %v, and %q find something, want %q", gone, got, want)
		}
	}
}

func TestWhatIsLeftAtTheEndIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(t *testing.T, c *caller, l *core.RedisLocker)
		found   string
	}{
		"nothing":      {func(*testing.T, *caller, *core.RedisLocker) {}, ""},
		"a key":        {func(_ *testing.T, c *caller, _ *core.RedisLocker) { _ = c.redis.Set("x:q:k7", "1") }, "O6"},
		"who holds":    {func(t *testing.T, c *caller, l *core.RedisLocker) { acquire(t, l) }, "O6"},
		"who has held": {func(t *testing.T, c *caller, l *core.RedisLocker) { _ = acquire(t, l).Release(t.Context()) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := found(t, func(t *testing.T, caller *caller) {
				l, err := core.New(faulty{caller.client(0)}, core.TTL(ttl))
				if err != nil {
					t.Fatal(err)
				}
				c.happens(t, caller, l)
				caller.residue([]*core.RedisLocker{l})
				_ = l.Close()
			}); got != c.found {
				t.Errorf("%q find something, want %q", got, c.found)
			}
		})
	}
}

func acquire(t *testing.T, l *core.RedisLocker) core.Lock {
	k, err := l.Acquire(t.Context(), keyName(0))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Where it is looked, what is left behind is there when it does, even if its lease
// has been renewed a third of its TTL before.
func TestPresenceIsLookedAtInTime(t *testing.T) {
	lengths := map[string]bool{}
	for seed := range uint64(500) {
		p := makePlan((&world{seed: seed}).random("plan", 0))
		if p.orderly() && p.tidied() >= p.ttl*2/3 {
			t.Errorf("seed %d: what is left for %v is looked for after %v", seed, p.ttl, p.tidied())
		}
		lengths[fmt.Sprint(p.ttl, p.orderly())] = true
	}
	if len(lengths) != 8 {
		t.Errorf("not each TTL is there in each kind of world: %v", lengths)
	}
}
