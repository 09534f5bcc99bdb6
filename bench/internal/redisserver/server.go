// Package redisserver starts redis-server processes that live as long as the
// run that starts them.
package redisserver

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
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// startAttempts bounds how often another port is tried: between finding a
	// free one and the server's bind, anybody may take it.
	startAttempts = 5
	startTimeout  = 10 * time.Second
)

// Server is a redis-server process of this run's own, on 127.0.0.1, without
// persistence.
type Server struct {
	Port   int
	Bus    int           // the port by which a cluster's nodes talk; 0 if it is no node
	Client *redis.Client // for what is not measured
	handle *os.Process
	done   chan struct{} // closed when it has exited
	infos  int64         // how often Counters has asked
}

// Start starts the redis-server that is on PATH, with its files in dir,
// and returns when it answers. A node is for a cluster that is yet to be formed.
func Start(ctx context.Context, dir string, node bool) (*Server, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("%w: install it (apt-get install redis-server, brew install redis)", err)
	}
	for attempt := 1; ; attempt++ {
		r, err := try(ctx, bin, dir, node)
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

func try(ctx context.Context, bin, dir string, node bool) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	r := &Server{Port: port, done: make(chan struct{})}
	args := []string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--logfile", logPath(dir),
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}
	if node {
		if r.Bus, err = freePort(); err != nil {
			return nil, err
		}
		args = append(args, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(r.Bus))
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
	r.Client = redis.NewClient(&redis.Options{
		Addr: r.Addr(),
		// The server makes none of a managed service's announcements.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	if err := r.awaitAnswer(ctx); err != nil {
		r.Stop()
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
func (r *Server) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if r.listens() {
			info, err := r.Client.InfoMap(ctx, "server").Result()
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
func (r *Server) listens() bool {
	c, err := net.DialTimeout("tcp", r.Addr(), time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// Addr is where it listens.
func (r *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.Port)) }

// Version is the server's.
func (r *Server) Version(ctx context.Context) (string, error) {
	info, err := r.Client.InfoMap(ctx, "server").Result()
	return info["Server"]["redis_version"], err
}

// Exited is closed when the process has ended.
func (r *Server) Exited() <-chan struct{} { return r.done }

// Stop ends the process and returns when it is gone.
func (r *Server) Stop() {
	_ = r.Client.Close()
	_ = r.handle.Kill() // os.ErrProcessDone if it has exited
	<-r.done
}
