package vaultserver

import (
	"os/exec"
	"syscall"
)

// bindToParent makes the kernel kill the child when its parent ends, and keeps signals that a terminal sends to the
// parent's group away from it: its owner stops it when it needs it no more.
func bindToParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
