//go:build unix

package vaultserver

import (
	"errors"
	"os"
	"syscall"
)

func signalStop(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

// alive tells whether a process of this id exists.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
