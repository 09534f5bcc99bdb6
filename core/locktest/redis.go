package locktest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// requireRedis is the environment variable that turns a missing
	// redis-server from a skipped test into a failed one.
	requireRedis = "LATCHKEY_REQUIRE_REDIS"
	// startAttempts bounds how often other ports are tried: between finding a
	// free one and the server's bind, anybody may take it.
	startAttempts = 5
	// sentinelMode is the mode of a server that watches others.
	sentinelMode = "sentinel"
	// startTimeout bounds one start, loading a data set included.
	startTimeout = 20 * time.Second
	// refusedTimeout is how long a server may refuse all logins, and readyTimeout how
	// long it may not answer on its port, after it has said that it is ready.
	refusedTimeout = time.Second
	readyTimeout   = 5 * time.Second
)

// Redis is a redis-server process of a test's own, on 127.0.0.1. It has real
// sockets, so it cannot be used inside a testing/synctest bubble (see
// [StartMini]). Its methods are safe for concurrent use, but Stop, Continue,
// Kill and Restart are the steps of one story: call them from one goroutine.
type Redis struct {
	tb      testing.TB
	bin     string
	dir     string
	conf    string // the configuration file it keeps, if it needs one
	mode    string // of several servers: what this one is
	bus     bool   // it is a node of a cluster, whose bus has a port too
	port    int
	busPort int      // of the bus
	ports   []string // the settings of the ports
	args    []string
	proc    atomic.Pointer[process] // of the last start
	known   atomic.Pointer[login]   // what it has let in
	frozen  atomic.Bool             // between Stop and Continue
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
	r := newRedis(tb, lookUpRedis(tb), extraArgs)
	if err := r.open(); err != nil {
		tb.Fatalf("locktest: %v", err)
	}
	return r
}

// lookUpRedis returns the path of redis-server, or ends the test.
func lookUpRedis(tb testing.TB) string {
	tb.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		missingRedis(tb, os.Getenv(requireRedis) == "1")
	}
	return bin
}

// newRedis returns a server that does not run yet.
func newRedis(tb testing.TB, bin string, extraArgs []string) *Redis {
	r := &Redis{tb: tb, bin: bin, dir: tb.TempDir(), mode: "redis-server", args: extraArgs}
	tb.Cleanup(r.cleanup)
	return r
}

// open starts the server on ports that it finds. Many may be opened at a time.
func (r *Redis) open() error {
	for attempt := 1; ; attempt++ {
		err := r.pickPorts()
		if err == nil {
			err = r.start()
		}
		if err == nil {
			return nil
		}
		if attempt == startAttempts || errors.Is(err, errRuns) {
			return fmt.Errorf("%s does not start (attempt %d): %w\n%s", r.mode, attempt, err, r.output())
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

// errRuns: to try again on another port would not help.
var errRuns = errors.New("it runs")

// start runs the server and waits until it answers. On failure no process is
// left.
func (r *Redis) start() error {
	logfile, err := os.OpenFile(r.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logfile.Close()
	proc, err := startProcess(exec.Command(r.bin, r.command()...), logfile)
	if err != nil {
		return err
	}
	r.proc.Store(proc)
	r.frozen.Store(false)
	if err := r.awaitAnswer(); err != nil {
		proc.kill()
		return err
	}
	return nil
}

// command returns the arguments: the configuration file first, the caller's
// settings last.
func (r *Redis) command() []string {
	var args []string
	if r.conf != "" {
		args = append(args, r.conf)
	}
	if r.mode == sentinelMode {
		args = append(args, "--sentinel")
	}
	args = append(args, "--bind", "127.0.0.1", "--dir", r.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no")
	return slices.Concat(args, r.ports, r.args)
}

// awaitAnswer returns nil when our own process answers: somebody else's Redis
// may have got the port.
func (r *Redis) awaitAnswer() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	asking := r.askers()
	defer func() {
		for _, a := range asking {
			_ = a.rdb.Close()
		}
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	proc := r.proc.Load()
	var ready, refusing time.Time
	for {
		err := r.answers(ctx, asking)
		if err == nil {
			return nil
		}
		first(&ready, r.saysReady())
		first(&refusing, refused(err))
		select {
		case <-proc.done:
			return fmt.Errorf("exited at once: %v", proc.err)
		case <-ctx.Done():
			return fmt.Errorf("%w, but has not answered within %v: %w", errRuns, startTimeout, err)
		case <-tick.C:
		}
		switch {
		case past(refusing, refusedTimeout), past(ready, 0) && refused(err):
			return fmt.Errorf("%w, but %w: %w", errRuns, errRefused, err)
		case past(ready, readyTimeout) && !redis.HasErrorPrefix(err, "LOADING"):
			return fmt.Errorf("%w, and is ready, but does not answer at %s (its address, its ports and TLS are not for "+
				"the arguments to choose): %w", errRuns, r.Addr(), err)
		}
	}
}

// first sets t to the time when something was so for the first time.
func first(t *time.Time, is bool) {
	if is && t.IsZero() {
		*t = time.Now()
	}
}

func past(t time.Time, d time.Duration) bool { return !t.IsZero() && time.Since(t) >= d }

// saysReady reports whether the server has logged that it takes connections.
func (r *Redis) saysReady() bool {
	return strings.Contains(strings.ToLower(r.output()), "ready to accept connections")
}

// answers returns nil if our process lets one of the clients in and is ready, and
// keeps its login: while the data set is loading, PING fails and INFO does not.
// Otherwise it returns why not: if any was not merely refused, that.
func (r *Redis) answers(ctx context.Context, asking []asker) error {
	// The client would log each time that it cannot connect.
	c, err := net.DialTimeout("tcp", r.Addr(), time.Second)
	if err != nil {
		return err
	}
	_ = c.Close()
	var last error
	for _, a := range asking {
		err := r.isOurs(ctx, a.rdb)
		if err == nil {
			r.known.Store(&a.login)
			return nil
		}
		if last == nil || refused(last) {
			last = err
		}
	}
	return last
}

// isOurs returns nil if our process answers rdb.
func (r *Redis) isOurs(ctx context.Context, rdb *redis.Client) error {
	if err := rdb.Ping(ctx).Err(); err != nil {
		return err
	}
	info, err := rdb.InfoMap(ctx, "server").Result()
	if err == nil && info["Server"]["process_id"] != strconv.Itoa(r.PID()) {
		err = fmt.Errorf("process %s answers, which is not ours", info["Server"]["process_id"])
	}
	return err
}

// Addr returns host:port, the same after Restart.
func (r *Redis) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)) }

// Dir returns the server's data directory.
func (r *Redis) Dir() string { return r.dir }

// PID returns the process ID, which Restart changes.
func (r *Redis) PID() int { return r.proc.Load().pid }

// Client returns a client of the server that is closed when the test is over.
// opts may be nil; its Addr, if empty, is set to the server's, and so is its login, if
// it has none and the server asks for one (see [StartRedis]).
func (r *Redis) Client(opts *redis.Options) *redis.Client {
	return newClient(r.tb, opts, func(o *redis.Options) {
		if o.Addr == "" {
			o.Addr = r.Addr()
		}
		if o.Addr == r.Addr() {
			r.login().into(&o.Username, &o.Password, o.CredentialsProvider != nil ||
				o.CredentialsProviderContext != nil || o.StreamingCredentialsProvider != nil)
		}
	})
}

// Kill ends the process with SIGKILL (kill -9), also while it is stopped, and
// returns when it is gone. What was not yet on disk is lost.
func (r *Redis) Kill() {
	r.proc.Load().kill()
}

// Restart starts the server again on the same port, with the same arguments
// and directory, and returns when it answers. A server that still runs is
// killed first.
func (r *Redis) Restart() {
	r.tb.Helper()
	r.Kill()
	if err := r.start(); err != nil {
		r.tb.Fatalf("locktest: %s does not restart on port %d: %v\n%s", r.mode, r.port, err, r.output())
	}
}

// lives tells whether the server runs and is not stopped: whether it can be
// expected to answer.
func (r *Redis) lives() bool {
	proc := r.proc.Load()
	if proc == nil || r.frozen.Load() {
		return false
	}
	select {
	case <-proc.done:
		return false
	default:
		return true
	}
}

func (r *Redis) cleanup() {
	if proc := r.proc.Load(); proc != nil {
		proc.kill()
	}
	if r.tb.Failed() {
		r.tb.Logf("%s on port %d:\n%s", r.mode, r.port, r.output())
	}
}

func (r *Redis) logPath() string { return filepath.Join(r.dir, "redis-server.log") }

// output returns the end of what the server has logged, wherever it was told to.
func (r *Redis) output() string {
	text, err := os.ReadFile(r.logPath())
	if err != nil {
		return err.Error()
	}
	for _, s := range settingsIn(r.args) {
		if s.name != "logfile" || len(s.args) != 1 {
			continue
		}
		path := s.args[0]
		if !filepath.IsAbs(path) {
			path = filepath.Join(r.dir, path)
		}
		more, _ := os.ReadFile(path) // none with ""
		text = append(text, more...)
	}
	const most = 4 << 10
	return strings.ToValidUTF8(string(text[max(0, len(text)-most):]), "")
}
