package hunt

import (
	"os/exec"
	"syscall"
)

// dieWithParent lets a child not outlive its parent, even while it is frozen.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
