package core_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// onEither runs a test on a single Redis and on a cluster, with three Lockers.
func onEither(t *testing.T, test func(t *testing.T, a, b, operator *core.RedisLocker)) {
	t.Run("single", func(t *testing.T) {
		srv := locktest.StartRedis(t)
		test(t, newLocker(t, srv.Client(nil)), newLocker(t, srv.Client(nil)), newLocker(t, srv.Client(nil)))
	})
	t.Run("cluster", func(t *testing.T) {
		c := locktest.StartCluster(t, 3, 0)
		test(t, newLocker(t, c.Client(nil)), newLocker(t, c.Client(nil)), newLocker(t, c.Client(nil)))
	})
}

func TestAnOperatorSeesTheLeasesOfAllServers(t *testing.T) {
	t.Parallel()
	onEither(t, func(t *testing.T, a, b, operator *core.RedisLocker) {
		var want []string
		for i := range 50 {
			key := fmt.Sprintf("order {%d}\n*", i)
			for _, l := range []*core.RedisLocker{a, b} {
				must[core.Lock](t)(l.Acquire(t.Context(), key+l.Snapshot().Process))
				want = append(want, key+l.Snapshot().Process)
			}
		}
		var got []string
		for lease, err := range operator.Leases(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if lease.Process != lease.Key[len(lease.Key)-len(lease.Process):] || lease.TTL <= 0 || lease.TTL > 10*time.Second {
				t.Errorf("%+v", lease)
			}
			got = append(got, lease.Key)
		}
		slices.Sort(want)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%d leases, want %d", len(got), len(want))
		}
	})
}

// acquiring acquires in the background. The test fails if it gets no lock.
func acquiring(t *testing.T, l *core.RedisLocker, key string) <-chan core.Lock {
	acquired := make(chan core.Lock, 1)
	go func() {
		defer close(acquired)
		lock, err := l.Acquire(t.Context(), key)
		if err != nil {
			t.Errorf("Acquire: %v", err)
			return
		}
		acquired <- lock
	}()
	return acquired
}

func TestAnOperatorBreaksALease(t *testing.T) {
	t.Parallel()
	onEither(t, func(t *testing.T, a, b, operator *core.RedisLocker) {
		// a listens: it has had to wait for this key.
		before := must[core.Lock](t)(b.Acquire(t.Context(), "k"))
		waits := acquiring(t, a, "k")
		inspect := func(is func(*core.Inspection) bool) *core.Inspection {
			t.Helper()
			var i *core.Inspection
			eventually(t, "seen by the operator", func() bool {
				i = must[*core.Inspection](t)(operator.Inspect(t.Context(), "k"))
				return is(i)
			})
			return i
		}
		i := inspect(func(i *core.Inspection) bool { return i.Waiting == 1 })
		if i.Lease.Process != b.Snapshot().Process || i.Queue[0].Process != a.Snapshot().Process || i.LastToken < before.Token() {
			t.Errorf("%+v", i)
		}
		if err := before.Release(t.Context()); err != nil {
			t.Error(err)
		}
		lock := <-waits
		next := acquiring(t, b, "k")
		i = inspect(func(i *core.Inspection) bool { return i.Waiting == 1 })

		start := time.Now()
		lease, err := operator.Break(t.Context(), "k", core.OnlyLease(i.Lease.ID))
		if err != nil || !lease.Broken || lease.Process != a.Snapshot().Process {
			t.Fatalf("Break: %+v, %v", lease, err)
		}
		<-lock.Context().Done()
		if cause := context.Cause(lock.Context()); cause != core.ErrBroken {
			t.Errorf("cause %v, want ErrBroken", cause)
		}
		// The message came: a renewal is due after 3 s.
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("stopped after %v", took)
		}
		if i = must[*core.Inspection](t)(operator.Inspect(t.Context(), "k")); i.Lease.ID != lease.ID || i.Waiting != 1 {
			t.Errorf("another is in: %+v", i)
		}
		if err := lock.Release(t.Context()); err != nil {
			t.Errorf("Release: %v", err)
		}
		third := <-next
		if third.Token() <= lock.Token() || lock.Token() <= before.Token() {
			t.Errorf("tokens %d, %d, %d", before.Token(), lock.Token(), third.Token())
		}

		next = acquiring(t, a, "k")
		inspect(func(i *core.Inspection) bool { return i.Waiting == 1 })
		if _, err := operator.BreakNow(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		fourth := <-next
		<-third.Context().Done()
		if cause := context.Cause(third.Context()); !errors.Is(cause, core.ErrLost) || !errors.Is(cause, core.ErrBroken) {
			t.Errorf("cause %v, want ErrLost and ErrBroken", cause)
		}
		if fourth.Token() <= third.Token() {
			t.Errorf("tokens %d, %d", third.Token(), fourth.Token())
		}
		if err := third.Release(t.Context()); !errors.Is(err, core.ErrLost) {
			t.Errorf("Release: %v, want ErrLost", err)
		}
		if err := fourth.Release(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := operator.Break(t.Context(), "k"); !errors.Is(err, core.ErrNotHeld) {
			t.Errorf("Break: %v, want ErrNotHeld", err)
		}
	})
}

func TestWithRedisStoppedAnOperatorIsToldInTime(t *testing.T) {
	t.Parallel()
	calls := map[string]func(ctx context.Context, l *core.RedisLocker) error{
		"Inspect": func(ctx context.Context, l *core.RedisLocker) error {
			_, err := l.Inspect(ctx, "k")
			return err
		},
		"BreakNow": func(ctx context.Context, l *core.RedisLocker) error {
			_, err := l.BreakNow(ctx, "k")
			return err
		},
		"Leases": func(ctx context.Context, l *core.RedisLocker) error {
			for _, err := range l.Leases(ctx) {
				return err
			}
			return nil
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := locktest.StartRedis(t)
			l := newLocker(t, srv.Client(nil))
			warmUp(t, l)
			srv.Stop()
			defer srv.Continue()
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, cancel)
			start := time.Now()
			if err := call(ctx, l); !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want context.Canceled", err)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("returned after %v", took)
			}
			if err := call(t.Context(), l); !errors.Is(err, core.ErrBackend) {
				t.Errorf("%v, want ErrBackend", err)
			}
			if took := time.Since(start); took > 4*time.Second {
				t.Errorf("returned after %v", took)
			}
		})
	}
}

func TestTheRightsOfAnOperator(t *testing.T) {
	line, _, _ := documentedRights(t)
	srv, admin := restricted(t, line)
	operator := newLocker(t, srv.Client(asLocks()))
	all := func() error {
		for _, err := range operator.Leases(t.Context()) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	held := newLocker(t, srv.Client(nil))
	for _, key := range []string{"a", "b"} {
		must[core.Lock](t)(held.Acquire(t.Context(), key))
	}
	must[*core.Inspection](t)(operator.Inspect(t.Context(), "a"))
	must[*core.LeaseInfo](t)(operator.Break(t.Context(), "a"))
	must[*core.LeaseInfo](t)(operator.BreakNow(t.Context(), "b"))
	if r := refusals(t, admin); len(r) != 0 {
		t.Errorf("the ACL has refused %q", r)
	}
	if err := all(); !errors.Is(err, core.ErrBackend) {
		t.Errorf("Leases without the right to SCAN: %v, want ErrBackend", err)
	}
	allow(t, admin, []any{"ACL", "SETUSER", "locks", "+scan"})
	if err := all(); err != nil {
		t.Error(err)
	}
}
