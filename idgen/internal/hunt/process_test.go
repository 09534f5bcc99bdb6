package hunt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
)

// assignmentEnv makes the test binary one of its own children.
const assignmentEnv = "LATCHKEY_HUNT_ASSIGNMENT"

func TestMain(m *testing.M) {
	text := os.Getenv(assignmentEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	redis.SetLogger(silence{}) // a dead Redis is no news here
	var a assignment
	err := json.Unmarshal([]byte(text), &a)
	if err == nil {
		err = a.carryOut(os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hunt: a child:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// process is a child. It is only signalled by its handle.
type process struct {
	handle  *os.Process
	out     io.ReadCloser
	in      io.Closer
	doomed  atomic.Bool // by kill
	stopped atomic.Bool // by leave
	done    chan struct{}
	err     error // of its end, after done
}

// startProcess starts a child that does what it is told. The caller reads out
// to its end, and then calls wait.
func startProcess(a assignment) (*process, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(os.Args[0])
	// A child with a data race ends at once, and that is noticed.
	cmd.Env = append(os.Environ(), assignmentEnv+"="+string(text), "GORACE=halt_on_error=1")
	cmd.Stderr = os.Stderr
	dieWithParent(cmd)
	p := &process{done: make(chan struct{})}
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	// No StdoutPipe: Wait would close it before it is read out.
	out, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, p.out = w, out
	started := make(chan error)
	go func() {
		// The thread that forks must live as long as the child does, or the
		// system takes it for the parent's death: golang/go#27505.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		_ = w.Close()
		if err == nil {
			p.handle = cmd.Process
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return p, nil
}

// kill is kill -9.
func (p *process) kill() {
	p.doomed.Store(true)
	_ = p.handle.Kill() // os.ErrProcessDone if it has ended
}

// leave asks the process to close its generator and end.
func (p *process) leave() {
	p.stopped.Store(true)
	_ = p.in.Close()
}

// wait returns when the process has ended, and an error if it did so unasked.
func (p *process) wait() error {
	<-p.done
	_ = p.out.Close()
	switch {
	case p.doomed.Load():
		return nil
	case p.err == nil && !p.stopped.Load():
		return errors.New("a child ended by itself")
	}
	return p.err
}
