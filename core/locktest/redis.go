package locktest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// requireRedis is the environment variable that turns a missing
	// redis-server from a skipped test into a failed one.
	requireRedis = "LATCHKEY_REQUIRE_REDIS"
	// startAttempts bounds how often another port is tried: between finding a
	// free one and the server's bind, anybody may take it.
	startAttempts = 5
	// startTimeout bounds one start, loading a data set included.
	startTimeout = 20 * time.Second
)

// Redis is a redis-server process of a test's own, on 127.0.0.1. It has real
// sockets, so it cannot be used inside a testing/synctest bubble (see
// [StartMini]). Its methods are safe for concurrent use, but Stop, Continue,
// Kill and Restart are the steps of one story: call them from one goroutine.
type Redis struct {
	tb   testing.TB
	bin  string
	dir  string
	port int
	args []string
	proc *process
}

// StartRedis starts the redis-server that is on PATH on a free port, in a
// directory of the test's own and without persistence, and returns when it
// answers. The extra arguments come last and win: StartRedis(t, "--appendonly",
// "yes"). The process is killed when the test is over, or with the test
// process.
//
// Without a redis-server the test is skipped, loudly; with
// LATCHKEY_REQUIRE_REDIS=1 in the environment it fails.
func StartRedis(tb testing.TB, extraArgs ...string) *Redis {
	tb.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		missingRedis(tb, os.Getenv(requireRedis) == "1")
	}
	r := &Redis{tb: tb, bin: bin, dir: tb.TempDir(), args: extraArgs}
	tb.Cleanup(r.cleanup)
	for attempt := 1; ; attempt++ {
		if r.port, err = freePort(); err == nil {
			err = r.start()
		}
		if err == nil {
			return r
		}
		if attempt == startAttempts || errors.Is(err, errNoAnswer) {
			tb.Fatalf("locktest: redis-server does not start (attempt %d): %v\n%s", attempt, err, r.output())
		}
	}
}

func missingRedis(tb testing.TB, required bool) {
	tb.Helper()
	text := "redis-server is not on PATH. Install it (apt-get install redis-server, brew install redis)"
	if required {
		tb.Fatalf("locktest: %s: %s=1 forbids to skip.", text, requireRedis)
	}
	tb.Skipf("\n*** SKIPPED: %s was NOT RUN: it needs a real Redis.\n*** %s, or set %s=1 to make this a failure.",
		tb.Name(), text, requireRedis)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

var errNoAnswer = errors.New("runs, but does not answer")

// start runs the server and waits until it answers. On failure no process is
// left.
func (r *Redis) start() error {
	logfile, err := os.OpenFile(r.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logfile.Close()
	args := append([]string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(r.port), "--dir", r.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}, r.args...)
	proc, err := startProcess(exec.Command(r.bin, args...), logfile)
	if err != nil {
		return err
	}
	r.proc = proc
	if err := r.awaitAnswer(); err != nil {
		proc.kill()
		return err
	}
	return nil
}

// awaitAnswer returns nil when our own process answers: somebody else's Redis
// may have got the port.
func (r *Redis) awaitAnswer() error {
	rdb := redis.NewClient(&redis.Options{
		Addr: r.Addr(), MaxRetries: -1, DialerRetries: 1, DialTimeout: time.Second, ReadTimeout: time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	defer rdb.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if r.listens() && r.answers(ctx, rdb) {
			return nil
		}
		select {
		case <-r.proc.done:
			return fmt.Errorf("exited at once: %v", r.proc.err)
		case <-ctx.Done():
			return fmt.Errorf("%w within %v", errNoAnswer, startTimeout)
		case <-tick.C:
		}
	}
}

// listens tells whether the port can be connected to: the client would log
// each time that it cannot.
func (r *Redis) listens() bool {
	c, err := net.DialTimeout("tcp", r.Addr(), time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// answers tells whether rdb talks to our process and it is ready: while the
// data set is loading, PING fails and INFO does not.
func (r *Redis) answers(ctx context.Context, rdb *redis.Client) bool {
	if rdb.Ping(ctx).Err() != nil {
		return false
	}
	info, err := rdb.InfoMap(ctx, "server").Result()
	return err == nil && info["Server"]["process_id"] == strconv.Itoa(r.PID())
}

// Addr returns host:port, the same after Restart.
func (r *Redis) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)) }

// Dir returns the server's data directory.
func (r *Redis) Dir() string { return r.dir }

// PID returns the process ID, which Restart changes.
func (r *Redis) PID() int { return r.proc.pid }

// Client returns a client of the server that is closed when the test is over.
// opts may be nil; its Addr, if empty, is set to the server's.
func (r *Redis) Client(opts *redis.Options) *redis.Client {
	return newClient(r.tb, opts, func(o *redis.Options) {
		if o.Addr == "" {
			o.Addr = r.Addr()
		}
	})
}

// Kill ends the process with SIGKILL (kill -9), also while it is stopped, and
// returns when it is gone. What was not yet on disk is lost.
func (r *Redis) Kill() {
	r.proc.kill()
}

// Restart starts the server again on the same port, with the same arguments
// and directory, and returns when it answers. A server that still runs is
// killed first.
func (r *Redis) Restart() {
	r.tb.Helper()
	r.Kill()
	if err := r.start(); err != nil {
		r.tb.Fatalf("locktest: redis-server does not restart on port %d: %v\n%s", r.port, err, r.output())
	}
}

func (r *Redis) cleanup() {
	if r.proc != nil {
		r.proc.kill()
	}
	if r.tb.Failed() {
		r.tb.Logf("redis-server on port %d:\n%s", r.port, r.output())
	}
}

func (r *Redis) logPath() string { return filepath.Join(r.dir, "redis-server.log") }

// output returns the end of what the server has logged.
func (r *Redis) output() string {
	text, err := os.ReadFile(r.logPath())
	if err != nil {
		return err.Error()
	}
	const most = 4 << 10
	return strings.ToValidUTF8(string(text[max(0, len(text)-most):]), "")
}
