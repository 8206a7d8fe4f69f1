package appbuild

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Replaced returns the folders that an application's go.mod replaces modules by. One that is not there is a
// *ReplaceError.
func Replaced(dir string) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, fmt.Errorf("an application is a folder with a go.mod: %w", err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "//")
		of, by, ok := strings.Cut(line, "=>")
		if !ok {
			continue
		}
		by, _, _ = strings.Cut(strings.TrimSpace(by), " ")
		by = strings.Trim(by, `"`)
		local := filepath.FromSlash(by)
		if !strings.HasPrefix(by, ".") && !filepath.IsAbs(local) {
			continue // another module, by its path
		}
		if !filepath.IsAbs(local) {
			local = filepath.Join(dir, local)
		}
		if _, err := os.Stat(filepath.Join(local, "go.mod")); errors.Is(err, fs.ErrNotExist) {
			module, _, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(of), "replace ")), " ")
			return nil, &ReplaceError{Dir: dir, Module: module, By: by}
		}
		out = append(out, local)
	}
	return out, nil
}

// ReplaceError tells that a go.mod replaces a module by a folder that is not there, as after the application was copied.
type ReplaceError struct{ Dir, Module, By string }

// Error says what to do.
func (e *ReplaceError) Error() string {
	return fmt.Sprintf("FL-BUILD-001: %s replaces %s by %s, where no module is: tell it where the module lies now, in %s: go mod edit -replace=%s=PATH/TO/%s",
		filepath.Join(e.Dir, "go.mod"), e.Module, e.By, e.Dir, e.Module, filepath.Base(e.Module))
}

// Explanations tells for each stable id what happened and what to do, for `fairlead explain`.
func Explanations() map[string]string {
	return map[string]string{
		"FL-BUILD-001": "The application's go.mod replaces a module, most likely fairlead's SDK, by a folder that is not there. " +
			"The path is relative to the application, so a copy of the application elsewhere does not find it. " +
			"Name the folder's place in the copy: `go mod edit -replace=MODULE=PATH`, as the message says.",
	}
}
