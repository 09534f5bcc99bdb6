package core_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// restored is the command in the documentation under "After a restore".
var restored = regexp.MustCompile(`(?m)^//\t(redis-cli EVAL .*)$`)

// A file that was saved while a lock was held, and is loaded after its release, has
// the lease of nobody in it. core's documentation says so, and what to do.
func TestALeaseOfARestoredRedisHoldsUpOthers(t *testing.T) {
	t.Parallel()
	const key = "order:7 \"quoted\"\n and two lines"
	for name, c := range map[string]struct {
		ttl  time.Duration
		free func(t *testing.T, srv *locktest.Redis, l *core.RedisLocker)
		wait time.Duration
	}{
		"until it expires": {3 * time.Second, nil, 30 * time.Second},
		"until the documented command has deleted it": {10 * time.Minute, deleteLeases, 0},
		"until an operator frees it": {10 * time.Minute, func(t *testing.T, _ *locktest.Redis, l *core.RedisLocker) {
			if _, err := l.BreakNow(t.Context(), key); err != nil {
				t.Error(err)
			}
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := locktest.StartRedis(t)
			before, beside := newLocker(t, srv.Client(nil)), newLocker(t, srv.Client(nil))
			lock := must[core.Lock](t)(before.Acquire(t.Context(), key, core.TTL(c.ttl)))
			impatient, giveUp := context.WithCancel(t.Context())
			gone := make(chan error, 1)
			go func() {
				_, err := beside.Acquire(impatient, key)
				gone <- err
			}()
			eventually(t, "a waiter is in line", func() bool {
				return len(srv.Client(nil).Keys(t.Context(), "latchkey:*:q:*").Val()) == 1
			})
			if err := srv.Client(nil).Save(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			giveUp()
			<-gone
			if err := errors.Join(lock.Release(t.Context()), before.Close(), beside.Close()); err != nil {
				t.Fatal(err)
			}
			srv.Restart() // which loads what was saved

			after := newLocker(t, srv.Client(nil))
			_, err := after.Acquire(t.Context(), key, core.Wait(0))
			if !errors.Is(err, core.ErrHeld) {
				t.Fatalf("Acquire after the restore: %v; want ErrHeld, by nobody", err)
			}
			if c.free != nil {
				c.free(t, srv, after)
			}
			again := must[core.Lock](t)(after.Acquire(t.Context(), key, core.Wait(c.wait)))
			if again.Token() <= lock.Token() {
				t.Errorf("token %d; want one above %d, of the past", again.Token(), lock.Token())
			}
		})
	}
}

func deleteLeases(t *testing.T, srv *locktest.Redis, _ *core.RedisLocker) {
	t.Helper()
	if _, err := exec.LookPath("redis-cli"); err != nil {
		t.Skipf("NOT RUN: %v", err)
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	line := restored.FindSubmatch(doc)
	if line == nil {
		t.Fatal("doc.go has no such command")
	}
	_, port, _ := net.SplitHostPort(srv.Addr())
	command := strings.Replace(string(line[1]), "redis-cli", "redis-cli -p "+port, 1)
	out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "2" {
		t.Fatalf("%s: %v, %s; want a lease and a line deleted", command, err, out)
	}
	if n := srv.Client(nil).Keys(t.Context(), "latchkey:*:fence").Val(); len(n) != 1 {
		t.Errorf("the counters are %q; want one", n)
	}
}
