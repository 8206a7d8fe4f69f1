package kafkatest

import (
	"os/exec"
	"syscall"
)

// bindToParent makes the kernel kill the child when the thread that starts it ends. [startProcess] keeps that
// thread until the child has ended, so it is the end of this process that counts.
func bindToParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
