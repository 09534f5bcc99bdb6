package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	stopSignal = syscall.SIGSTOP
	goOnSignal = syscall.SIGCONT
)

// process is a child. It ends when its standard input does, and so not later than
// this process.
type process struct {
	*exec.Cmd
	work   Work
	in     io.Closer
	out    *os.File
	stderr tail
	killed bool
	ended  bool
	err    error // of its end
}

func startProcess(w Work) (*process, error) {
	text, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	out, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	p := &process{Cmd: exec.Command(os.Args[0]), work: w, out: out}
	p.Env = append(os.Environ(), Env+"="+string(text), "GORACE=halt_on_error=1")
	p.Stdout, p.Stderr = theirs, &p.stderr
	if p.in, err = p.StdinPipe(); err == nil {
		err = p.Start()
	}
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return p, nil
}

// signal sends one to the process in a place.
func (f *Fleet) signal(place int, s syscall.Signal) {
	f.t.Helper()
	if err := f.places[place].process.Process.Signal(s); err != nil {
		f.t.Fatalf("fleet: %v: %v", s, err)
	}
}

// kill ends the process at once; what it has told can still be read. The error is
// that of a process that had come to its end by itself, badly.
func (p *process) kill() error {
	p.killed = true
	_ = p.Process.Kill()
	return p.wait()
}

// leave asks the process to end.
func (p *process) leave() { _ = p.in.Close() }

// wait returns when the process has ended.
func (p *process) wait() error {
	if p.ended {
		return p.err
	}
	p.ended = true
	err := p.Cmd.Wait()
	// Only the kill itself is excused: one who is killed may have crashed before.
	if status, ok := p.ProcessState.Sys().(syscall.WaitStatus); p.killed && ok && status.Signal() == syscall.SIGKILL {
		return nil
	}
	if err != nil {
		p.err = fmt.Errorf("process %d: %w; the end of its stderr:\n%s", p.work.Process, err, p.stderr.last())
	}
	return p.err
}

// stacks ends a process that does not end by itself, and returns where it was.
func (p *process) stacks() string {
	_ = p.Process.Signal(syscall.SIGQUIT)
	ended := time.AfterFunc(stacksWithin, func() { _ = p.Process.Kill() })
	defer ended.Stop()
	_ = p.wait()
	p.err = nil // it was ended
	return p.stderr.stacks()
}

// stacksWithin is how long a process may take to write its stacks.
const stacksWithin = 5 * time.Second
