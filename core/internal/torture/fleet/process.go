package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
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
	killed bool
	ended  bool
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
	p.Stdout, p.Stderr = theirs, os.Stderr
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

// kill ends the process at once; what it has told can still be read.
func (p *process) kill() {
	p.killed = true
	_ = p.Process.Kill()
	_ = p.wait()
}

// leave asks the process to end.
func (p *process) leave() { _ = p.in.Close() }

// wait returns when the process has ended.
func (p *process) wait() error {
	if p.ended {
		return nil
	}
	p.ended = true
	if err := p.Cmd.Wait(); err != nil && !p.killed {
		return fmt.Errorf("process %d: %w", p.work.Process, err)
	}
	return nil
}
