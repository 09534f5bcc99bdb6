package locktest

import (
	"os"
	"os/exec"
	"runtime"
)

// process is a child that is only ever signalled through its handle, so that
// no process which has inherited its ID can be hit.
type process struct {
	pid    int
	handle *os.Process
	done   chan struct{} // closed when it has exited and err is set
	err    error
}

// startProcess starts cmd with its output going to out. The child dies with
// this process where the system can arrange that.
func startProcess(cmd *exec.Cmd, out *os.File) (*process, error) {
	cmd.Stdout, cmd.Stderr = out, out
	dieWithParent(cmd)
	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Linux sends the parent-death signal when the thread that forked
		// ends, not the process (prctl(2), golang/go#27505): this goroutine
		// keeps its thread as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.handle, p.pid = cmd.Process, cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// kill ends the process and returns when it is gone. It may be called again.
func (p *process) kill() {
	_ = p.handle.Kill() // os.ErrProcessDone if it has exited
	<-p.done
}
