package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// What is fetched. npm checks the hashes of its lock file; Go checks those of go.sum, which comes with the module whose
// own hash is named here.
const (
	restateVersion  = "1.7.12"
	temporalVersion = "v1.9.1"
	temporalHash    = "h1:8JXIJyo6H5UPjdw0PSoizOZvlcEEy2R3UBfRD5Obju0="
	// temporalServer is the version of the server within it.
	temporalServer = "v1.32.0"
)

var (
	//go:embed npm/package.json
	npmPackage []byte
	//go:embed npm/package-lock.json
	npmLock []byte
	//go:embed startdev.go.txt
	startDev []byte
)

// cached returns a folder of the cache that fill has filled once for this content.
func cached(cache, name, content string, fill func(dir string) error) (string, error) {
	sum := sha256.Sum256([]byte(content))
	dir := filepath.Join(cache, name+"-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil // it was put there whole
	}
	work, err := os.MkdirTemp(cache, name+".part-")
	if err != nil {
		return "", fmt.Errorf("make a directory for %s: %w", name, err)
	}
	defer os.RemoveAll(work)
	fmt.Printf("fetching %s, once\n", name)
	if err := fill(work); err != nil {
		return "", fmt.Errorf("fetch %s: %w", name, err)
	}
	if err := os.Rename(work, dir); err != nil {
		if _, there := os.Stat(dir); there == nil {
			return dir, nil // another process was faster
		}
		return "", fmt.Errorf("put %s in place: %w", name, err)
	}
	return dir, nil
}

// tool runs a command for its output. It is interrupted when ctx ends, so that it ends what it has started.
func tool(ctx context.Context, dir string, env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, tail(out.String()), tail(said.String()))
	}
	return out.Bytes(), nil
}

// tail is the end of a long text.
func tail(s string) string {
	const most = 4 << 10
	return s[max(0, len(s)-most):]
}

// restatePlatform is the package of Restate's server for a platform, empty where there is none.
func restatePlatform(goos, arch string) string {
	cpu := map[string]string{"amd64": "x64", "arm64": "arm64"}[arch]
	if cpu == "" || goos != "linux" && goos != "darwin" {
		return ""
	}
	return "@restatedev/restate-server-" + goos + "-" + cpu
}

// fetchRestate returns the path of Restate's server, from npm. No script of a package runs.
func fetchRestate(ctx context.Context, cache string) (string, error) {
	platform := restatePlatform(runtime.GOOS, runtime.GOARCH)
	if platform == "" {
		return "", fmt.Errorf("Restate's server is not made for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	dir, err := cached(cache, "restate-server-"+restateVersion, platform+string(npmLock), func(dir string) error {
		err := errors.Join(os.WriteFile(filepath.Join(dir, "package.json"), npmPackage, 0o644), os.WriteFile(filepath.Join(dir, "package-lock.json"), npmLock, 0o644))
		if err != nil {
			return err
		}
		_, err = tool(ctx, dir, nil, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		return err
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "node_modules", filepath.FromSlash(platform), "bin", "restate-server"), nil
}

// fetchTemporal returns the path of Temporal's development server, built from the module of Temporal's command line.
//
// `go install` refuses that module, for it replaces a part of itself by a folder that the module proxy does not have; the
// server needs nothing of that part. So the module's package internal/devserver, which is what `temporal server start-dev`
// runs, is built with a main of our own (startdev.go.txt), in a copy of the module without the replaced part.
func fetchTemporal(ctx context.Context, cache string) (string, error) {
	dir, err := cached(cache, "temporal-"+temporalVersion, temporalHash+string(startDev)+runtime.Version(), func(dir string) error {
		return buildTemporal(ctx, dir)
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "start-dev.exe"), nil
}

func buildTemporal(ctx context.Context, dir string) error {
	const module = "github.com/temporalio/cli"
	env := []string{"GOWORK=off", "GOFLAGS=-mod=readonly"}
	raw, err := tool(ctx, dir, env, "go", "mod", "download", "-json", module+"@"+temporalVersion)
	if err != nil {
		return err
	}
	var got struct{ Dir, Sum string }
	if err := json.Unmarshal(raw, &got); err != nil {
		return fmt.Errorf("read what go mod download says: %w", err)
	}
	if got.Sum != temporalHash {
		return fmt.Errorf("%s %s has hash %s, want %s", module, temporalVersion, got.Sum, temporalHash)
	}
	source := filepath.Join(dir, "source")
	if err := os.MkdirAll(filepath.Join(source, "start-dev"), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"go.mod", "go.sum", "LICENSE"} {
		content, err := os.ReadFile(filepath.Join(got.Dir, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(source, name), content, 0o644); err != nil {
			return err
		}
	}
	const server = "internal/devserver"
	if err := os.CopyFS(filepath.Join(source, filepath.FromSlash(server)), os.DirFS(filepath.Join(got.Dir, filepath.FromSlash(server)))); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(source, "start-dev", "main.go"), startDev, 0o644); err != nil {
		return err
	}
	if _, err := tool(ctx, source, env, "go", "mod", "edit", "-droprequire="+module+"/cliext", "-dropreplace="+module+"/cliext"); err != nil {
		return err
	}
	fmt.Println("building Temporal's server, which takes minutes")
	if _, err := tool(ctx, source, env, "go", "build", "-trimpath", "-o", filepath.Join(dir, "start-dev.exe"), "./start-dev"); err != nil {
		return err
	}
	return os.RemoveAll(source)
}
