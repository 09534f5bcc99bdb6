package core_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// newLocker returns a Locker on rdb that is closed, and checked for what it
// leaves, when the test is over.
func newLocker(tb testing.TB, rdb redis.UniversalClient, opts ...core.Option) *core.RedisLocker {
	tb.Helper()
	l, err := core.New(rdb, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	return l
}

// must returns v, and fails the test on an error.
func must[T any](tb testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// section is a critical section that notices when two are in it, or when a
// fencing token does not rise.
type section struct {
	inside   atomic.Int32
	mu       sync.Mutex
	last     uint64
	entries  int
	problems []string
}

func (s *section) run(token uint64, stay time.Duration) {
	if n := s.inside.Add(1); n != 1 {
		s.problem("%d holders at once", n)
	}
	s.mu.Lock()
	if token <= s.last {
		s.problems = append(s.problems, fmt.Sprintf("token %d after %d", token, s.last))
	}
	s.last = token
	s.entries++
	s.mu.Unlock()
	if stay > 0 {
		time.Sleep(stay)
	} else {
		runtime.Gosched()
	}
	s.inside.Add(-1)
}

func (s *section) problem(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

func (s *section) check(t *testing.T, key string, entries int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.problems[:min(5, len(s.problems))] {
		t.Errorf("key %s: %s", key, p)
	}
	if entries >= 0 && s.entries != entries {
		t.Errorf("key %s: %d holders, want %d", key, s.entries, entries)
	}
}

// onlyFences fails the test if Redis has anything else than fencing counters.
func onlyFences(t *testing.T, rdb *redis.Client) {
	t.Helper()
	keys := must[[]string](t)(rdb.Keys(context.Background(), "*").Result())
	sort.Strings(keys)
	for _, k := range keys {
		if !strings.HasSuffix(k, ":fence") {
			t.Errorf("left in Redis: %s", k)
		}
	}
}

func TestOneHolderAtATimeAcrossLockersAndKeys(t *testing.T) {
	srv := locktest.StartRedis(t)
	const lockers, perLocker, rounds, keys = 4, 8, 40, 3
	sections := make([]section, keys)
	var wg sync.WaitGroup
	var all []*core.RedisLocker
	for range lockers {
		all = append(all, newLocker(t, srv.Client(nil)))
	}
	for i, l := range all {
		for g := range perLocker {
			wg.Go(func() {
				for n := range rounds {
					k := (i + g + n) % keys
					lock, err := l.Acquire(t.Context(), fmt.Sprint("key", k))
					if err != nil {
						t.Error(err)
						return
					}
					sections[k].run(lock.Token(), 0)
					if err := lock.Release(t.Context()); err != nil {
						t.Errorf("Release: %v", err)
					}
				}
			})
		}
	}
	wg.Wait()
	total := 0
	for k := range sections {
		sections[k].check(t, fmt.Sprint("key", k), -1)
		total += sections[k].entries
	}
	if want := lockers * perLocker * rounds; total != want {
		t.Errorf("%d holders in all, want %d", total, want)
	}
	for _, l := range all {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	onlyFences(t, srv.Client(nil))
}

func TestUncontendedLockIsHeldAndFreeAfterRelease(t *testing.T) {
	srv := locktest.StartRedis(t)
	a, b := newLocker(t, srv.Client(nil)), newLocker(t, srv.Client(nil))
	lock := must[core.Lock](t)(a.Acquire(t.Context(), "k"))
	if got, ok := core.FromContext(lock.Context()); !ok || got != lock {
		t.Errorf("FromContext = %v, %v", got, ok)
	}
	if _, err := b.TryAcquire(t.Context(), "k"); !errors.Is(err, core.ErrHeld) {
		t.Errorf("second: %v, want ErrHeld", err)
	}
	if err := lock.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if err := lock.Release(t.Context()); !errors.Is(err, core.ErrReleased) {
		t.Errorf("second Release: %v, want ErrReleased", err)
	}
	if cause := context.Cause(lock.Context()); !errors.Is(cause, core.ErrReleased) {
		t.Errorf("cause %v, want ErrReleased", cause)
	}
	again := must[core.Lock](t)(b.TryAcquire(t.Context(), "k"))
	if again.Token() <= lock.Token() {
		t.Errorf("token %d after %d", again.Token(), lock.Token())
	}
	if err := again.Release(t.Context()); err != nil {
		t.Error(err)
	}
}
