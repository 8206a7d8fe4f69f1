package devenv

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/sandbox"
)

// Application is what is installed on the virtual nodes.
type Application struct {
	// Name is the folder's.
	Name string
	// Module is the WebAssembly module as the author built it.
	Module []byte
	// Flows are the classes that clients may start.
	Flows []string
}

// sourceDigest names the sources of an application: every file below dir and below the SDK that it replaces, by
// path, size and time of change, and the release of Go. Folders whose names begin with a dot are left out.
func sourceDigest(dirs ...string) (string, error) {
	h := sha256.New()
	h.Write([]byte(runtime.Version()))
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if e.IsDir() && path != dir && strings.HasPrefix(e.Name(), ".") {
				return filepath.SkipDir
			}
			if !e.Type().IsRegular() {
				return nil
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			h.Write([]byte(path))
			var n [16]byte
			binary.BigEndian.PutUint64(n[:8], uint64(info.Size()))
			binary.BigEndian.PutUint64(n[8:], uint64(info.ModTime().UnixNano()))
			h.Write(n[:])
			return nil
		})
		if err != nil {
			return "", fmt.Errorf("reading the application in %s: %w", dir, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// sources returns the folders that an application is made of: its own and those that its go.mod replaces modules by.
func sources(dir string) ([]string, error) {
	replaced, err := appbuild.Replaced(dir)
	if err != nil {
		return nil, fmt.Errorf("--app %s: %w", dir, err)
	}
	return append([]string{dir}, replaced...), nil
}

// buildCache remembers the last build of each folder, so that a start without changes builds nothing.
type buildCache struct {
	Digest string   `json:"digest"`
	Module string   `json:"module"`
	Flows  []string `json:"flows"`
}

// builder builds applications into a cache.
type builder struct {
	cache   string
	sandbox *sandbox.Runtime
}

// build returns the application in a folder, and the digest of its sources.
func (b builder) build(ctx context.Context, folder string) (Application, string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return Application{}, "", fmt.Errorf("--app %s: %w", folder, err)
	}
	from, err := sources(folder)
	if err != nil {
		return Application{}, "", err
	}
	digest, err := sourceDigest(from...)
	if err != nil {
		return Application{}, "", err
	}
	app := Application{Name: filepath.Base(folder)}
	sum := sha256.Sum256([]byte(folder))
	base := filepath.Join(b.cache, appDir, app.Name+"-"+hex.EncodeToString(sum[:4]))
	if module, flows, ok := readBuild(base, digest); ok {
		app.Module, app.Flows = module, flows
		return app, digest, nil
	}
	app.Module, app.Flows, err = appbuild.Builder{Runtime: b.sandbox}.Build(ctx, folder)
	if err != nil {
		return Application{}, digest, err
	}
	if err := writeFile(base+".wasm", app.Module); err != nil {
		return Application{}, digest, err
	}
	module := sha256.Sum256(app.Module)
	return app, digest, writeJSON(base+".json", buildCache{Digest: digest, Module: hex.EncodeToString(module[:]), Flows: app.Flows})
}

func readBuild(base, digest string) (module []byte, flows []string, ok bool) {
	b, err := os.ReadFile(base + ".json")
	if err != nil {
		return nil, nil, false
	}
	var c buildCache
	if err := json.Unmarshal(b, &c); err != nil || c.Digest != digest {
		return nil, nil, false
	}
	module, err = os.ReadFile(base + ".wasm")
	sum := sha256.Sum256(module)
	if err != nil || hex.EncodeToString(sum[:]) != c.Module {
		return nil, nil, false
	}
	return module, c.Flows, true
}

// FindHello looks for the example application in the repository around a folder; empty when there is none.
func FindHello(from string) string {
	for dir := from; ; {
		candidate := filepath.Join(dir, "apps", "hello")
		if _, err := os.Stat(filepath.Join(candidate, "go.mod")); err == nil {
			return candidate
		} else if !errors.Is(err, fs.ErrNotExist) {
			return ""
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}
