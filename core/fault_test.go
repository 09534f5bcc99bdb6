package core_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/internal/faultproxy"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// through returns a Locker whose connections all go through a proxy.
func through(t *testing.T, srv *locktest.Redis, o redis.Options, opts ...core.Option) (*core.RedisLocker, *faultproxy.Proxy) {
	t.Helper()
	p := faultproxy.New(t, srv.Addr())
	o.Addr = p.Addr()
	rdb := redis.NewClient(&o)
	t.Cleanup(func() { rdb.Close() })
	return newLocker(t, rdb, opts...), p
}

// eventually fails the test if is does not become true in 10 s.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	within(t, 10*time.Second, what, is)
}

// within fails the test if is does not become true in d.
func within(t *testing.T, d time.Duration, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(d)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// atBest fails the test unless once, which measures how late something was, finds
// at most that in one of its runs. The machine may be late as well, and any number
// of times; what waits for a timeout is late each time.
func atBest(t *testing.T, what string, most time.Duration, once func() time.Duration) {
	t.Helper()
	var all []time.Duration
	for begun := time.Now(); time.Since(begun) < 10*time.Second || len(all) < 5; {
		d := once()
		if t.Failed() || d <= most {
			return
		}
		all = append(all, d)
	}
	t.Errorf("%s: late by %v, want at most %v once", what, all, most)
}

// stopAnew stops a Redis that l has just had answers from: it does not count as
// down yet. Go on with srv.Continue.
func stopAnew(t *testing.T, srv *locktest.Redis, l *core.RedisLocker) {
	t.Helper()
	eventually(t, "Redis answers", func() bool {
		lock, err := l.Acquire(t.Context(), "warm")
		return err == nil && lock.Release(t.Context()) == nil
	})
	srv.Stop()
}

// waitsInRedis tells whether n entries are queued, over all keys.
func waitsInRedis(t *testing.T, rdb *redis.Client, n int64) func() bool {
	return func() bool {
		total := int64(0)
		for _, k := range must[[]string](t)(rdb.Keys(context.Background(), "*:q:*").Result()) {
			total += rdb.ZCard(context.Background(), k).Val()
		}
		return total == n
	}
}

func TestAnAcquireWhoseReplyIsLostGetsTheLockFromItsRetry(t *testing.T) {
	srv := locktest.StartRedis(t)
	l, p := through(t, srv, redis.Options{}) // go-redis retries by itself
	warmUp(t, l)
	dropped := p.DropReplies(1, faultproxy.Contains("evalsha"))
	lock, err := l.TryAcquire(t.Context(), "k")
	if err != nil {
		t.Fatalf("TryAcquire: %v", err)
	}
	if dropped() != 1 {
		t.Fatal("no reply was dropped")
	}
	if lock.Remaining() <= 0 {
		t.Error("not valid")
	}
	if err := lock.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWithoutRetriesALostReplyIsAnErrorAndTheKeyIsFreeSoon(t *testing.T) {
	srv := locktest.StartRedis(t)
	// A client that heeds deadlines would have it made again after a lone round trip.
	l, p := through(t, srv, redis.Options{MaxRetries: -1}, core.SharedClient())
	warmUp(t, l)
	dropped := p.DropReplies(1, faultproxy.Contains("evalsha"))
	if _, err := l.Acquire(t.Context(), "k"); !errors.Is(err, core.ErrBackend) {
		t.Fatalf("Acquire: %v, want ErrBackend", err)
	}
	if dropped() != 1 {
		t.Fatal("no reply was dropped")
	}
	start := time.Now()
	lock, err := l.Acquire(t.Context(), "k")
	if err != nil {
		t.Fatalf("after the error: %v", err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("free only after %v; the TTL is 10 s", d)
	}
	if err := lock.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// warmUp has the script loaded and a connection open.
func warmUp(t *testing.T, l *core.RedisLocker) {
	t.Helper()
	lock := must[core.Lock](t)(l.Acquire(t.Context(), "warm"))
	if err := lock.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTheLockOfACancelledRequestIsFreeForTheNext(t *testing.T) {
	srv := locktest.StartRedis(t)
	a, b := newLocker(t, srv.Client(nil)), newLocker(t, srv.Client(nil))
	atBest(t, "free for the next", 100*time.Millisecond, func() time.Duration {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		entered, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			_ = a.Do(ctx, "k", func(ctx context.Context) error {
				close(entered)
				<-ctx.Done()
				return ctx.Err()
			})
		}()
		<-entered
		next := make(chan time.Time, 1)
		go func() {
			lock, err := b.Acquire(t.Context(), "k")
			got := time.Now()
			if err == nil {
				err = lock.Release(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
			next <- got
		}()
		eventually(t, "the next one waits", waitsInRedis(t, srv.Client(nil), 1))
		cancelled := time.Now()
		cancel()
		free := (<-next).Sub(cancelled)
		<-done
		return free
	})
}

func TestWithRedisStoppedACallerReturnsAtItsDeadlineAndItsCancellation(t *testing.T) {
	srv := locktest.StartRedis(t)
	l := newLocker(t, srv.Client(nil))
	late := func(ctx func() (context.Context, context.CancelFunc), want error) func() time.Duration {
		return func() time.Duration {
			stopAnew(t, srv, l)
			defer srv.Continue()
			ctx, cancel := ctx()
			defer cancel()
			_, err := l.Acquire(ctx, "k")
			ended, _ := ctx.Deadline()
			if !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
			return time.Since(ended)
		}
	}
	atBest(t, "after its deadline", 50*time.Millisecond, late(func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(t.Context(), 100*time.Millisecond)
	}, context.DeadlineExceeded))
	atBest(t, "after its cancellation", 50*time.Millisecond, late(func() (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(t.Context())
		at := time.Now().Add(100 * time.Millisecond)
		time.AfterFunc(100*time.Millisecond, cancel)
		return endsAt{ctx, at}, cancel
	}, context.Canceled))
}

// endsAt says when a context without a deadline will be cancelled.
type endsAt struct {
	context.Context
	at time.Time
}

func (e endsAt) Deadline() (time.Time, bool) { return e.at, false }

func TestWithRedisGoneAnAcquireFailsAndRecoversWithIt(t *testing.T) {
	srv := locktest.StartRedis(t)
	l := newLocker(t, srv.Client(nil))
	warmUp(t, l)
	srv.Kill()
	if _, err := l.Acquire(t.Context(), "k"); !errors.Is(err, core.ErrBackend) {
		t.Fatalf("Acquire: %v, want ErrBackend", err)
	}
	srv.Restart() // without its scripts, and without its data
	// It counts as down until it is probed.
	lock, err := l.Acquire(t.Context(), "k")
	for deadline := time.Now().Add(20 * time.Second); err != nil; lock, err = l.Acquire(t.Context(), "k") {
		if !errors.Is(err, core.ErrBackend) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if err := lock.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// Tokens rise across data loss, as long as the clock does.
func TestTokensRiseAlsoAfterRedisForgotThem(t *testing.T) {
	srv := locktest.StartRedis(t)
	l := newLocker(t, srv.Client(nil))
	var last uint64
	for range 3 {
		for range 50 {
			lock := must[core.Lock](t)(l.Acquire(t.Context(), "k"))
			if lock.Token() <= last {
				t.Fatalf("token %d after %d", lock.Token(), last)
			}
			last = lock.Token()
			_ = lock.Release(t.Context())
		}
		srv.Kill()
		srv.Restart()
	}
}

func TestAWaiterWhoseSubscriptionIsCutIsStillGranted(t *testing.T) {
	for name, fault := range map[string]func(p *faultproxy.Proxy){
		"cut":                    func(p *faultproxy.Proxy) { p.CutMatching(faultproxy.Contains("subscribe")) },
		"all cut":                func(p *faultproxy.Proxy) { p.CutAll() },
		"half-open for a moment": func(p *faultproxy.Proxy) { p.Stall(); time.AfterFunc(300*time.Millisecond, p.Resume) },
		"no new ones for a moment": func(p *faultproxy.Proxy) {
			p.Block()
			p.CutAll()
			time.AfterFunc(300*time.Millisecond, p.Unblock)
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := locktest.StartRedis(t)
			holder := newLocker(t, srv.Client(nil))
			l, p := through(t, srv, redis.Options{})
			lock := must[core.Lock](t)(holder.Acquire(t.Context(), "k"))
			type result struct {
				lock core.Lock
				err  error
			}
			got := make(chan result, 1)
			go func() {
				k, err := l.Acquire(t.Context(), "k")
				got <- result{k, err}
			}()
			eventually(t, "it waits", waitsInRedis(t, srv.Client(nil), 1))
			fault(p)
			released := time.Now()
			if err := lock.Release(t.Context()); err != nil {
				t.Error(err)
			}
			r := <-got
			if r.err != nil {
				t.Fatal(r.err)
			}
			// A third of the TTL is the longest that a poll may take.
			if d := time.Since(released); d > 3500*time.Millisecond {
				t.Errorf("granted only after %v", d)
			}
			if r.lock.Token() <= lock.Token() {
				t.Errorf("token %d after %d", r.lock.Token(), lock.Token())
			}
			p.Heal()
			if err := r.lock.Release(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Without a subscription nobody may stand in line: a grant would find nobody. Those
// who wait ask now and then, and get the lock when they find it free.
func TestWithoutASubscriptionWaitersArePolledFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rules []any
		says  string
	}{
		"the channel is not allowed": {[]any{"resetchannels"}, "&latchkey:*"},
		"the command is not allowed": {[]any{"allchannels", "-subscribe"}, "+subscribe"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := locktest.StartRedis(t)
			admin := srv.Client(nil)
			rules := append([]any{"ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all"}, c.rules...)
			if err := admin.Do(t.Context(), rules...).Err(); err != nil {
				t.Fatal(err)
			}
			holder := newLocker(t, admin)
			lock := must[core.Lock](t)(holder.Acquire(t.Context(), "k"))
			rdb := redis.NewClient(&redis.Options{Addr: srv.Addr(), Username: "app", Password: "secret"})
			t.Cleanup(func() { rdb.Close() })
			l := newLocker(t, rdb)
			type outcome struct {
				lock core.Lock
				err  error
			}
			waiters := make(chan outcome, 2)
			for range cap(waiters) {
				go func() {
					lock, err := l.Acquire(t.Context(), "k")
					waiters <- outcome{lock, err}
				}()
			}
			select {
			case o := <-waiters:
				t.Fatalf("beside the holder: %+v", o)
			case <-time.After(3 * time.Second): // longer than Redis may be silent
			}
			released := time.Now()
			if err := lock.Release(t.Context()); err != nil {
				t.Error(err)
			}
			for range cap(waiters) {
				o := <-waiters
				if o.err != nil {
					t.Fatal(o.err)
				}
				if err := o.lock.Release(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if took := time.Since(released); took > soon {
				t.Errorf("served after %v", took)
			}
			if err := l.Check(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Check: %v, want %q", err, c.says)
			}
		})
	}
}
