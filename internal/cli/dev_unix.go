//go:build unix

package cli

import (
	"os"
	"syscall"
)

// detached lets a process outlive the terminal that started it.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// askToStop lets a process end in its own way.
func askToStop(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
