//go:build windows

package devenv

import (
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// lockAt is where the lock lies: behind the content, which others read to name the holder.
const lockAt = 1 << 30

// tryLock takes an exclusive lock that ends with the process, or fails at once.
func tryLock(f *os.File) error {
	at := &windows.Overlapped{Offset: lockAt}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return nil
}
