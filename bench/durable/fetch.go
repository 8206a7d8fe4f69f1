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
	temporalModule  = "go.temporal.io/server"
	temporalVersion = "v1.32.0"
	temporalHash    = "h1:JQoqsVREaGc8vcuDNfuRlySiV3tVi81XUOVC9LeL/1Y="
)

var (
	//go:embed npm/package.json
	npmPackage []byte
	//go:embed npm/package-lock.json
	npmLock []byte
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

// Programs of Temporal, as they are named in the cache.
const (
	temporalServer = "temporal-server"
	temporalSchema = "temporal-sql-tool"
)

// fetchTemporal returns the folder of Temporal's server and of the tool that makes its schemas in Postgres, built from the
// module of the server, whose go.sum pins all that it needs.
func fetchTemporal(ctx context.Context, cache string) (string, error) {
	return cached(cache, "temporal-"+temporalVersion, temporalHash+runtime.Version(), func(dir string) error {
		return buildTemporal(ctx, dir)
	})
}

func buildTemporal(ctx context.Context, dir string) error {
	env := []string{"GOWORK=off", "GOFLAGS=-mod=readonly"}
	raw, err := tool(ctx, dir, env, "go", "mod", "download", "-json", temporalModule+"@"+temporalVersion)
	if err != nil {
		return err
	}
	var got struct{ Dir, Sum string }
	if err := json.Unmarshal(raw, &got); err != nil {
		return fmt.Errorf("read what go mod download says: %w", err)
	}
	if got.Sum != temporalHash {
		return fmt.Errorf("%s %s has hash %s, want %s", temporalModule, temporalVersion, got.Sum, temporalHash)
	}
	fmt.Println("building Temporal's server, which takes minutes")
	for program, source := range map[string]string{temporalServer: "./cmd/server", temporalSchema: "./cmd/tools/sql"} {
		if _, err := tool(ctx, got.Dir, env, "go", "build", "-trimpath", "-o", filepath.Join(dir, program), source); err != nil {
			return err
		}
	}
	return nil
}
