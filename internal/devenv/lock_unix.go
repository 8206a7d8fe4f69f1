//go:build unix

package devenv

import (
	"fmt"
	"os"
	"syscall"
)

// tryLock takes an exclusive lock that ends with the process, or fails at once.
func tryLock(f *os.File) error {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return nil
}
