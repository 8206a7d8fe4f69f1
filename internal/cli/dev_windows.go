//go:build windows

package cli

import (
	"os"
	"syscall"
)

// detached lets a process outlive the terminal that started it.
func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// askToStop ends a process: Windows has no signal that it could answer. What was accepted is kept.
func askToStop(p *os.Process) error { return p.Kill() }
