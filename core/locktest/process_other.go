//go:build !linux

package locktest

import "os/exec"

func dieWithParent(*exec.Cmd) {}

// stopped cannot be asked here; the signal is all there is to go by.
func (p *process) stopped() (bool, error) { return true, nil }
