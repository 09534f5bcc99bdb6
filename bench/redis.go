package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// startAttempts bounds how often another port is tried: between finding a
	// free one and the server's bind, anybody may take it.
	startAttempts = 5
	startTimeout  = 10 * time.Second
)

// redisServer is a redis-server process of this run's own, on 127.0.0.1,
// without persistence.
type redisServer struct {
	port   int
	bus    int // the port by which a cluster's nodes talk; 0 if it is no node
	handle *os.Process
	done   chan struct{} // closed when it has exited
	rdb    *redis.Client // for what is no contender's
	infos  int64         // how often counters has asked
}

// startRedis starts the redis-server that is on PATH, with its files in dir,
// and returns when it answers. A node is for a cluster that is yet to be formed.
func startRedis(ctx context.Context, dir string, node bool) (*redisServer, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("%w: install it (apt-get install redis-server, brew install redis)", err)
	}
	for attempt := 1; ; attempt++ {
		r, err := tryRedis(ctx, bin, dir, node)
		if err == nil {
			return r, nil
		}
		if attempt == startAttempts || ctx.Err() != nil {
			log, _ := os.ReadFile(logPath(dir)) // a nicety
			return nil, fmt.Errorf("redis-server does not start: %w\n%s", err, log)
		}
	}
}

func logPath(dir string) string { return filepath.Join(dir, "redis-server.log") }

func tryRedis(ctx context.Context, bin, dir string, node bool) (*redisServer, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	r := &redisServer{port: port, done: make(chan struct{})}
	args := []string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--logfile", logPath(dir),
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}
	if node {
		if r.bus, err = freePort(); err != nil {
			return nil, err
		}
		args = append(args, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(r.bus))
	}
	cmd := exec.Command(bin, args...)
	dieWithParent(cmd)
	started := make(chan error)
	go func() {
		// Linux sends the parent-death signal when the thread that forked
		// ends, not the process (prctl(2), golang/go#27505): this goroutine
		// keeps its thread as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		r.handle = cmd.Process
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed in the end
			close(r.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	r.rdb = newClient(circumstances{addrs: []string{r.addr()}})
	if err := r.awaitAnswer(ctx); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// awaitAnswer returns nil when our own process answers: somebody else's Redis
// may have got the port.
func (r *redisServer) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if r.listens() {
			info, err := r.rdb.InfoMap(ctx, "server").Result()
			if err == nil && info["Server"]["process_id"] == strconv.Itoa(r.handle.Pid) {
				return nil
			}
		}
		select {
		case <-r.done:
			return errors.New("exited at once")
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// listens tells whether the port can be connected to: the client would log
// each time that it cannot.
func (r *redisServer) listens() bool {
	c, err := net.DialTimeout("tcp", r.addr(), time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

func (r *redisServer) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)) }

// version is the server's.
func (r *redisServer) version(ctx context.Context) (string, error) {
	info, err := r.rdb.InfoMap(ctx, "server").Result()
	return info["Server"]["redis_version"], err
}

// stop ends the process and returns when it is gone.
func (r *redisServer) stop() {
	_ = r.rdb.Close()
	_ = r.handle.Kill() // os.ErrProcessDone if it has exited
	<-r.done
}
