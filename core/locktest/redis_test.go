package locktest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/locktest"
)

// once is options of a client that tries everything once.
func once() *redis.Options {
	return &redis.Options{MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true}
}

func TestStartedServersAreSeparate(t *testing.T) {
	a, b := locktest.StartRedis(t), locktest.StartRedis(t)
	if a.Addr() == b.Addr() || a.PID() == b.PID() || a.Dir() == b.Dir() {
		t.Fatalf("two servers share an address (%s), a process (%d) or a directory (%s)", a.Addr(), a.PID(), a.Dir())
	}
	if err := a.Client(nil).Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n := b.Client(once()).Exists(t.Context(), "k").Val(); n != 0 {
		t.Error("one server's key is in the other")
	}
}

func TestStartRedisPassesArgumentsOn(t *testing.T) {
	r := locktest.StartRedis(t, "--maxmemory-policy", "allkeys-lru", "--save", "3600 1")
	for name, want := range map[string]string{"maxmemory-policy": "allkeys-lru", "save": "3600 1", "appendonly": "no", "dir": r.Dir()} {
		if got := r.Client(nil).ConfigGet(t.Context(), name).Val()[name]; got != want {
			t.Errorf("%s = %q; want %q", name, got, want)
		}
	}
}

func TestAStoppedServerAnswersAfterContinue(t *testing.T) {
	r := locktest.StartRedis(t)
	rdb := r.Client(once())
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	r.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := rdb.Ping(ctx).Err(); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("PING while stopped = %v; want no answer in time", err)
	}
	r.Continue()
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestAKilledServerForgetsWhatIsNotOnDisk(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want int64
	}{
		"no persistence":     {nil, 0},
		"append only, fsync": {[]string{"--appendonly", "yes", "--appendfsync", "always"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := locktest.StartRedis(t, c.args...)
			rdb := r.Client(once())
			if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
			addr, pid := r.Addr(), r.PID()
			r.Stop() // a stopped process can be killed too
			r.Kill()
			if err := rdb.Ping(t.Context()).Err(); err == nil {
				t.Fatal("a killed server answers")
			}
			r.Restart()
			if r.Addr() != addr || r.PID() == pid {
				t.Fatalf("restarted at %s as %d; want %s, and not %d", r.Addr(), r.PID(), addr, pid)
			}
			if n, err := r.Client(once()).Exists(t.Context(), "k").Result(); err != nil || n != c.want {
				t.Errorf("EXISTS = %d, %v; want %d", n, err, c.want)
			}
		})
	}
}

func TestTheServerEndsWithItsTest(t *testing.T) {
	var rdb *redis.Client
	var addr string
	t.Run("with a server", func(t *testing.T) {
		r := locktest.StartRedis(t)
		rdb, addr = r.Client(nil), r.Addr()
		r.Stop() // must not keep it alive
	})
	if rdb == nil {
		t.SkipNow() // the subtest was, and says why
	}
	if err := rdb.Ping(t.Context()).Err(); !errors.Is(err, redis.ErrClosed) {
		t.Errorf("PING = %v; want a closed client", err)
	}
	o := once()
	o.Addr = addr
	late := redis.NewClient(o)
	defer late.Close()
	if err := late.Ping(t.Context()).Err(); err == nil {
		t.Error("the server still answers")
	}
}

// endedTest stands for a test that ends early; what it does not override must
// not be called.
type endedTest struct {
	testing.TB
	fatal, skipped string
}

func (e *endedTest) Helper()                      {}
func (e *endedTest) Name() string                 { return "TestOfAUser" }
func (e *endedTest) Fatalf(f string, args ...any) { e.fatal = fmt.Sprintf(f, args...); panic(e) }
func (e *endedTest) Skipf(f string, args ...any)  { e.skipped = fmt.Sprintf(f, args...); panic(e) }

func TestWithoutRedisATestIsSkippedLoudlyOrFails(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	starters := map[string]func(testing.TB){
		"StartRedis":    func(tb testing.TB) { locktest.StartRedis(tb) },
		"StartCluster":  func(tb testing.TB) { locktest.StartCluster(tb, 3, 1) },
		"StartSentinel": func(tb testing.TB) { locktest.StartSentinel(tb, 1) },
	}
	for require, want := range map[string]struct{ skipped, fatal []string }{
		"":  {skipped: []string{"TestOfAUser", "NOT RUN", "apt-get install redis-server"}},
		"1": {fatal: []string{"apt-get install redis-server", "LATCHKEY_REQUIRE_REDIS=1"}},
	} {
		t.Run("LATCHKEY_REQUIRE_REDIS="+require, func(t *testing.T) {
			t.Setenv("LATCHKEY_REQUIRE_REDIS", require)
			for name, start := range starters {
				e := &endedTest{}
				func() {
					defer func() {
						if r := recover(); r != any(e) {
							t.Fatalf("%s went on: %v", name, r)
						}
					}()
					start(e)
				}()
				says(t, "skip", e.skipped, want.skipped)
				says(t, "failure", e.fatal, want.fatal)
			}
		})
	}
}

// says checks that text has all of want, and that it is empty if want is.
func says(t *testing.T, what, text string, want []string) {
	t.Helper()
	if len(want) == 0 && text != "" {
		t.Errorf("a %s: %s", what, text)
	}
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("the %s %q does not say %q", what, text, w)
		}
	}
}

func TestAServerThatCannotStartFailsTheTest(t *testing.T) {
	for name, start := range map[string]func(testing.TB, string, string){
		"StartRedis":    func(tb testing.TB, k, v string) { locktest.StartRedis(tb, k, v) },
		"StartCluster":  func(tb testing.TB, k, v string) { locktest.StartCluster(tb, 1, 1, k, v) },
		"StartSentinel": func(tb testing.TB, k, v string) { locktest.StartSentinel(tb, 1, k, v) },
	} {
		e := &failingTest{TB: t, ctx: t.Context()}
		func() {
			defer func() { _ = recover() }()
			start(e, "--no-such-setting", "1")
		}()
		if !strings.Contains(e.fatal, "no-such-setting") {
			t.Errorf("%s: the failure is %q; want it to quote what the server says", name, e.fatal)
		}
	}
}

// failingTest is a test in all but its failure, and its context is ctx.
type failingTest struct {
	testing.TB
	ctx   context.Context
	fatal string
}

func (f *failingTest) Context() context.Context { return f.ctx }

func (f *failingTest) Fatalf(format string, args ...any) {
	f.fatal = fmt.Sprintf(format, args...)
	panic(f)
}
