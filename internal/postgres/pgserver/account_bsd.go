//go:build unix && !linux

package pgserver

import (
	"errors"
	"os/exec"
	"syscall"
)

// bindToParent does nothing here: only Linux can tie a child's life to its parent's. The next start stops what was
// left.
func bindToParent(*exec.Cmd) {}

func enterNamespace(*syscall.SysProcAttr) {}

func namespaces() bool { return false }

// isPostgres tells whether the process exists.
func isPostgres(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
