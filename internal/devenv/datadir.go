package devenv

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The layouts of the data directory. A program refuses every other, and that of the other kind of cluster: who owns
// the facts in Kafka is decided once.
const (
	formatBare  = "fairlead-dev 1"
	formatWhole = "fairlead-dev 2"
)

func formatOf(workers []string) string {
	if whole(workers) {
		return formatWhole
	}
	return formatBare
}

// Files and folders of a data directory.
const (
	formatFile      = "format"
	lockFile        = "lock"
	kafkaDir        = "kafka"
	cacheDir        = "cache"
	compiledDir     = "compiled"
	appDir          = "app"
	tlsDir          = "tls"
	credentialsFile = "credentials.json"
	passwordFile    = "password"
	devFile         = "dev.json"
	logFile         = "dev.log"
)

// Modes of what is made: for the owner alone.
const (
	dirMode  = 0o700
	fileMode = 0o600
)

// spaceProbe is how much must fit on the disk at a start, bytes.
const spaceProbe = 4 << 20

// DefaultDir returns where the data lies when no directory is named; env looks up environment variables.
func DefaultDir(env func(string) string) (string, error) {
	if base := env("XDG_DATA_HOME"); base != "" {
		return filepath.Join(base, "fairlead", "dev"), nil
	}
	if local := env("LocalAppData"); local != "" {
		return filepath.Join(local, "fairlead", "dev"), nil
	}
	home := env("HOME")
	if home == "" {
		return "", errors.New("the home directory is not known: name a data directory with --data")
	}
	return filepath.Join(home, ".local", "share", "fairlead", "dev"), nil
}

// DefaultCacheDir returns where built applications are kept for all data directories; env looks up environment
// variables. It is empty when the user has no such place.
func DefaultCacheDir(env func(string) string) string {
	if base := env("XDG_CACHE_HOME"); base != "" {
		return filepath.Join(base, "fairlead")
	}
	if local := env("LocalAppData"); local != "" {
		return filepath.Join(local, "fairlead", "cache")
	}
	if home := env("HOME"); home != "" {
		return filepath.Join(home, ".cache", "fairlead")
	}
	return ""
}

// dataDir is an open data directory, locked by this process.
type dataDir struct {
	path string
	lock *os.File
}

// FormatError tells that a directory was not made by this version.
type FormatError struct{ Dir, Found, Want string }

// Error says what to do.
func (e *FormatError) Error() string {
	if e.Found == "" {
		return fmt.Sprintf("FL-DEV-001: %s is not empty and was not made by fairlead dev: name another directory with --data", e.Dir)
	}
	return fmt.Sprintf("FL-DEV-001: the data in %s has format %q, this version and these --workers need %q: run what made it, name another directory with --data, or discard it with `fairlead dev reset --data %s`",
		e.Dir, e.Found, e.Want, e.Dir)
}

// openDir makes or opens a data directory and locks it.
func openDir(path, format string) (d *dataDir, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("--data %s: %w", path, err)
	}
	if err := os.MkdirAll(path, dirMode); err != nil {
		return nil, fmt.Errorf("FL-DEV-002: making the data directory: %w: name one that can be written with --data", err)
	}
	if err := checkFormat(path, format); err != nil {
		return nil, err
	}
	if err := probe(path); err != nil {
		return nil, err
	}
	d = &dataDir{path: path}
	if d.lock, err = takeLock(filepath.Join(path, lockFile)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	for _, sub := range []string{kafkaDir, tlsDir} {
		if err := os.MkdirAll(d.join(sub), dirMode); err != nil {
			return nil, fmt.Errorf("FL-DEV-002: making the data directory: %w", err)
		}
	}
	return d, writeFile(d.join(formatFile), []byte(format+"\n"))
}

func checkFormat(path, format string) error {
	b, err := os.ReadFile(filepath.Join(path, formatFile))
	if err == nil {
		if found := strings.TrimSpace(string(b)); found != format {
			return &FormatError{Dir: path, Found: found, Want: format}
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("FL-DEV-002: reading the data directory: %w", err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("FL-DEV-002: reading the data directory: %w", err)
	}
	for _, e := range entries {
		if e.Name() != lockFile {
			return &FormatError{Dir: path}
		}
	}
	return nil
}

// probe writes a little, so that a full or read-only disk is told before anything starts.
func probe(path string) error {
	name := filepath.Join(path, ".probe")
	err := os.WriteFile(name, make([]byte, spaceProbe), fileMode)
	if removed := os.Remove(name); err == nil {
		err = removed
	}
	if err != nil {
		return fmt.Errorf("FL-DEV-002: the data directory cannot be written: %w: free some space, or name another with --data", err)
	}
	return nil
}

func (d *dataDir) join(parts ...string) string {
	return filepath.Join(append([]string{d.path}, parts...)...)
}

// close gives the lock back.
func (d *dataDir) close() error {
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close()
	d.lock = nil
	return err
}

// holder is what the lock file says about the process that holds it.
type holder struct {
	PID  int    `json:"pid"`
	Rest string `json:"rest"`
}

// LockedError tells which process uses the directory.
type LockedError struct {
	Dir    string
	Holder string
}

// Error says what to do.
func (e *LockedError) Error() string {
	return fmt.Sprintf("FL-DEV-003: %s is in use by %s: stop it (fairlead dev stop --data %s), or name another directory with --data", e.Dir, e.Holder, e.Dir)
}

func takeLock(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("FL-DEV-002: locking the data directory: %w", err)
	}
	if err := tryLock(f); err != nil {
		b, readErr := os.ReadFile(name)
		_ = f.Close()
		var h holder
		who := "another process"
		if readErr == nil && json.Unmarshal(b, &h) == nil && h.PID > 0 {
			who = fmt.Sprintf("process %d", h.PID)
			if h.Rest != "" {
				who += " (" + h.Rest + ")"
			}
		}
		return nil, &LockedError{Dir: filepath.Dir(name), Holder: who}
	}
	return f, nil
}

// sign writes into the lock who holds it.
func (d *dataDir) sign(rest string) error {
	b, err := json.Marshal(holder{PID: os.Getpid(), Rest: rest})
	if err != nil {
		return err
	}
	if err := d.lock.Truncate(0); err != nil {
		return fmt.Errorf("writing the lock: %w", err)
	}
	if _, err := d.lock.WriteAt(b, 0); err != nil {
		return fmt.Errorf("writing the lock: %w", err)
	}
	return nil
}

// writeFile replaces a file at once, readable by its owner alone.
func writeFile(name string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".new-*") // for its owner alone
	if err == nil {
		_, err = tmp.Write(content)
		err = errors.Join(err, tmp.Close())
		if err == nil {
			err = os.Rename(tmp.Name(), name)
		}
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("FL-DEV-002: writing %s: %w", name, err)
	}
	return nil
}

// writeJSON is writeFile of indented JSON.
func writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	return writeFile(name, append(b, '\n'))
}

// MayReset tells why a data directory cannot be discarded now: it is not fairlead dev's, or in use. One that does not
// exist can.
func MayReset(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := mayDiscard(path); err != nil {
		return err
	}
	lock, err := takeLock(filepath.Join(path, lockFile))
	if err != nil {
		return err
	}
	return lock.Close()
}

// mayDiscard tells whether a directory is one that fairlead dev made, of whatever version.
func mayDiscard(path string) error {
	err := checkFormat(path, formatWhole)
	var wrong *FormatError
	if errors.As(err, &wrong) && wrong.Found != "" {
		return nil
	}
	return err
}

// Reset discards a data directory that fairlead dev made; of other directories it touches nothing.
func Reset(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := mayDiscard(path); err != nil {
		return err
	}
	lock, err := takeLock(filepath.Join(path, lockFile))
	if err != nil {
		return err
	}
	// The lock goes last, and only then is the directory free for others.
	entries, err := os.ReadDir(path)
	if err != nil {
		return errors.Join(fmt.Errorf("reading the data directory: %w", err), lock.Close())
	}
	var errs []error
	for _, e := range entries {
		if e.Name() != lockFile {
			errs = append(errs, os.RemoveAll(filepath.Join(path, e.Name())))
		}
	}
	errs = append(errs, lock.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("discarding %s: %w", path, err)
	}
	return os.RemoveAll(path)
}
