package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// BinVariable names the folder with the programs initdb and postgres.
const BinVariable = "FAIRLEAD_PG_BIN"

// MinVersion is the oldest major version that is used.
const MinVersion = 13

// Binaries are the programs of one Postgres installation.
type Binaries struct {
	// Dir holds initdb and postgres.
	Dir string
	// Version is the server's own text, such as "15.18".
	Version string
	// Major is its major version.
	Major int
}

// NotFoundError tells that no Postgres is on this machine, and what would put one there.
type NotFoundError struct {
	// Looked are the places that were looked at.
	Looked []string
	// Found are versions that are too old, if any.
	Found []string
}

// Error names the commands that install Postgres.
func (e *NotFoundError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "FL-PG-001: no PostgreSQL %d or later on this machine", MinVersion)
	if len(e.Found) > 0 {
		fmt.Fprintf(&b, " (only %s)", strings.Join(e.Found, ", "))
	}
	fmt.Fprintf(&b, "; looked in %s. Install it with one of\n", strings.Join(e.Looked, ", "))
	for _, c := range installCommands() {
		b.WriteString("  " + c + "\n")
	}
	fmt.Fprintf(&b, "or name the folder of initdb and postgres in %s, or give the address of a server", BinVariable)
	return b.String()
}

func installCommands() []string {
	switch runtime.GOOS {
	case "darwin":
		return []string{"brew install postgresql@17", "sudo port install postgresql17-server"}
	case "windows":
		return []string{"winget install PostgreSQL.PostgreSQL.17"}
	default:
		return []string{"sudo apt-get install postgresql", "sudo dnf install postgresql-server", "sudo apk add postgresql17"}
	}
}

// globs are where installations are found beside the path, most wanted first.
func globs() []string {
	switch runtime.GOOS {
	case "darwin":
		return []string{"/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin", "/opt/local/lib/postgresql*/bin",
			"/Applications/Postgres.app/Contents/Versions/*/bin"}
	case "windows":
		return []string{`C:\Program Files\PostgreSQL\*\bin`}
	default:
		return []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/lib/postgresql*/bin", "/usr/libexec/postgresql*"}
	}
}

// Find looks for the binaries: the folder in FAIRLEAD_PG_BIN alone if it is set; else those on the path; else the
// highest version in the usual places. A [NotFoundError] says what would help.
func Find(ctx context.Context) (Binaries, error) {
	if dir := os.Getenv(BinVariable); dir != "" {
		b, err := inspect(ctx, dir)
		if err != nil {
			return Binaries{}, fmt.Errorf("%s is %s: %w", BinVariable, dir, err)
		}
		if b.Major < MinVersion {
			return Binaries{}, &NotFoundError{Looked: []string{dir}, Found: []string{b.Version}}
		}
		return b, nil
	}
	missing := &NotFoundError{Looked: []string{"the path"}}
	if found, err := exec.LookPath("postgres"); err == nil {
		// A link leads to where initdb and the shared files are.
		if real, err := filepath.EvalSymlinks(found); err == nil {
			found = real
		}
		if b, err := inspect(ctx, filepath.Dir(found)); err == nil {
			if b.Major >= MinVersion {
				return b, nil
			}
			missing.Found = append(missing.Found, b.Version)
		}
	}
	var all []Binaries
	for _, pattern := range globs() {
		missing.Looked = append(missing.Looked, pattern)
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			return Binaries{}, fmt.Errorf("look for Postgres in %s: %w", pattern, err)
		}
		for _, dir := range dirs {
			b, err := inspect(ctx, dir)
			switch {
			case ctx.Err() != nil:
				return Binaries{}, ctx.Err()
			case err != nil:
			case b.Major < MinVersion:
				missing.Found = append(missing.Found, b.Version)
			default:
				all = append(all, b)
			}
		}
	}
	if len(all) == 0 {
		return Binaries{}, missing
	}
	return slices.MaxFunc(all, func(a, b Binaries) int { return a.Major - b.Major }), nil
}

var versionText = regexp.MustCompile(`\(PostgreSQL\) (([0-9]+)[.0-9a-z]*)`)

func inspect(ctx context.Context, dir string) (Binaries, error) {
	for _, name := range []string{"postgres", "initdb"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return Binaries{}, fmt.Errorf("it has no program %s: %w", name, err)
		}
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return Binaries{}, fmt.Errorf("ask postgres for its version: %w", err)
	}
	m := versionText.FindSubmatch(out)
	if m == nil {
		return Binaries{}, errors.New("postgres does not tell its version")
	}
	major, err := strconv.Atoi(string(m[2]))
	if err != nil {
		return Binaries{}, fmt.Errorf("version %s: %w", m[1], err)
	}
	return Binaries{Dir: dir, Version: string(m[1]), Major: major}, nil
}
