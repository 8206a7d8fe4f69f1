package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/sdk"
)

//go:embed files
var files embed.FS

// SDKFolder is where the SDK lies in an application.
const SDKFolder = "sdk"

// ExistsError tells that the folder is there already.
type ExistsError struct{ Dir string }

// Error says what to do.
func (e *ExistsError) Error() string {
	return fmt.Sprintf("%s is there already: choose another name, or remove it", e.Dir)
}

// reserved are names that mean something else, with what that is.
func reserved() map[string]string {
	out := map[string]string{
		"dev": "fairlead dev calls the packages that it makes so", "fairlead": "it is the platform's",
		"sdk": "the folder of the SDK is called so", "main": "it means something else in Go", "test": "it means something else in Go",
		"flow": "packages of the SDK are called so", "flowtest": "packages of the SDK are called so", "native": "packages of the SDK are called so",
		"all": "the Go command reads it as a pattern", "std": "the Go command reads it as a pattern", "cmd": "the Go command reads it as a pattern",
	}
	for _, name := range []string{"con", "prn", "aux", "nul"} { // with com1 and the like
		out[name] = "Windows keeps it for a device"
	}
	return out
}

// CheckName refuses what cannot be the name of an application, of its Go module and of its flow at once.
func CheckName(name string) error {
	if !regexp.MustCompile(`^[a-z][a-z0-9]{0,29}(-[a-z0-9]{1,10}){0,3}$`).MatchString(name) {
		return fmt.Errorf("name %q: begin with a lower-case letter and go on with lower-case letters and digits; parts may be joined by hyphens, as in pay or pay-now", name)
	}
	why, is := reserved()[name]
	switch {
	case is:
	case regexp.MustCompile(`^(com|lpt)[0-9]$`).MatchString(name):
		why = "Windows keeps it for a device"
	case slices.Contains(standard(), name):
		why = "a package of Go's standard library is called so"
	default:
		return nil
	}
	return fmt.Errorf("name %q: %s; choose another, such as %s-app", name, why, name)
}

// standard are the packages of Go's standard library whose paths have one part: a module of the same path cannot be told
// from them.
func standard() []string {
	return strings.Fields("archive arena bufio builtin bytes cmp compress container context crypto database debug embed encoding errors expvar flag fmt go hash " +
		"html image index internal io iter log maps math mime net os path plugin reflect regexp runtime simd slices sort strconv strings structs sync syscall testing text time " +
		"unicode unique unsafe vendor weak")
}

// New makes an application in a new folder dir. When it fails nothing is left.
func New(dir, name string) (err error) {
	if err := CheckName(name); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); errors.Is(err, fs.ErrExist) {
		return &ExistsError{dir}
	} else if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make the application: folder %s is not there: make it first", filepath.Dir(dir))
	} else if err != nil {
		return fmt.Errorf("make the application: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("make the application: %w", errors.Join(err, os.RemoveAll(dir)))
		}
	}()
	if err := os.CopyFS(filepath.Join(dir, SDKFolder), sdk.Files()); err != nil {
		return err
	}
	values := struct{ Name, SDK, SDKFolder string }{name, sdk.Module, SDKFolder}
	err = fs.WalkDir(files, "files", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		to := strings.TrimSuffix(strings.TrimPrefix(path, "files/"), ".tmpl")
		to = strings.ReplaceAll(to, "NAME", name)
		if to == "gitignore" {
			to = "." + to
		}
		t, err := template.New(path).Delims("[[", "]]").Parse(string(text))
		if err != nil {
			return err
		}
		var out bytes.Buffer
		if err := t.Execute(&out, values); err != nil {
			return err
		}
		b := out.Bytes()
		if strings.HasSuffix(to, ".go") {
			if b, err = format.Source(b); err != nil {
				return err
			}
		}
		place := filepath.Join(dir, filepath.FromSlash(to))
		if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
			return err
		}
		return os.WriteFile(place, b, 0o644)
	})
	if err != nil {
		return err
	}
	return declare(dir)
}

// declare writes what the tests read of fairlead.yaml, so that they pass before the first build.
func declare(dir string) error {
	s, err := appbuild.LoadSource(dir)
	if err != nil {
		return err
	}
	b := appbuild.Built{Code: cpi.Code{Tables: s.Tables, Queries: s.Queries, Channels: s.Channels}}
	return b.WriteDeclarations(dir)
}
