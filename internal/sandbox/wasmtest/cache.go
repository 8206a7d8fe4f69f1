package wasmtest

import (
	"fmt"
	"os"
	"path/filepath"
)

// CacheVariable names a directory that keeps compiled modules for the tests of several packages: the race detector makes
// the compiler more than ten times slower, so that a run without it compiles for the run with it.
const CacheVariable = "FAIRLEAD_TEST_CACHE"

// Cache returns the directory of modules that tests compiled, and what to do with it afterwards.
func Cache() (dir string, remove func() error, err error) {
	if base := os.Getenv(CacheVariable); base != "" {
		dir = filepath.Join(base, "compiled")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", nil, fmt.Errorf("make the directory for compiled modules: %w", err)
		}
		return dir, func() error { return nil }, nil
	}
	if dir, err = os.MkdirTemp("", "compiled-"); err != nil {
		return "", nil, fmt.Errorf("make a directory for compiled modules: %w", err)
	}
	return dir, func() error { return os.RemoveAll(dir) }, nil
}
