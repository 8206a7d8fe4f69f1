package appbuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/fairleadio/fairlead/internal/sandbox"
)

// Build builds the application in dir (a folder with a main package) and returns its module and the classes of the
// flows that users can start, in order. Errors of the application's code are a *CompileError.
func Build(ctx context.Context, dir string) (wasm []byte, flows []string, err error) {
	r, err := sandbox.New(ctx, sandbox.Config{IdleInstances: -1})
	if err != nil {
		return nil, nil, fmt.Errorf("build application: %w", err)
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	return Builder{Runtime: r}.Build(ctx, dir)
}

// Builder builds applications and installs them in a runtime that is the caller's, so that running the module
// afterwards does not compile it again.
type Builder struct {
	// Runtime checks the modules. It is required.
	Runtime *sandbox.Runtime
	// Go is the Go command; empty means the one on the PATH.
	Go string
}

// Build is like the function Build.
func (b Builder) Build(ctx context.Context, dir string) (wasm []byte, flows []string, err error) {
	wasm, err = b.Compile(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	m, err := b.Runtime.Install(ctx, wasm)
	if err != nil {
		return nil, nil, fmt.Errorf("application %s: %w", dir, err)
	}
	list, err := m.Flows(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("application %s: %w", dir, err)
	}
	for _, f := range list {
		if f.Startable {
			flows = append(flows, f.Class)
		}
	}
	contracts, err := m.Contracts(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("application %s: %w", dir, err)
	}
	if len(flows) == 0 && len(contracts) == 0 {
		return nil, nil, fmt.Errorf("application %s registers no flow and no contract: call flow.Register or contract.Register in an init function", dir)
	}
	return wasm, flows, nil
}

// CompileError is what the Go toolchain has to say about an application.
type CompileError struct {
	Dir    string
	Output string
}

// Error returns the toolchain's output.
func (e *CompileError) Error() string {
	return fmt.Sprintf("application %s does not build:\n%s", e.Dir, e.Output)
}

// ErrNoGo is returned when there is no Go toolchain.
var ErrNoGo = errors.New("the Go toolchain is needed to build applications and the command \"go\" was not found: install Go 1.26 or newer (https://go.dev/dl) and put it on the PATH")

// Compile runs the Go toolchain only.
func (b Builder) Compile(ctx context.Context, dir string) (wasm []byte, err error) {
	tmp, err := os.MkdirTemp("", "fairlead-app-")
	if err != nil {
		return nil, fmt.Errorf("build application: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	out := filepath.Join(tmp, "app.wasm")
	err = b.run(ctx, dir, []string{"GOOS=wasip1", "GOARCH=wasm", "GOWASM=", "GOEXPERIMENT=", "CGO_ENABLED=0"},
		"-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-pgo=off", "-ldflags=-s -w -buildid=", "-o", out)
	if err != nil {
		return nil, err
	}
	wasm, err = os.ReadFile(out)
	if err != nil {
		return nil, fmt.Errorf("build application %s: %w (is there a package main?)", dir, err)
	}
	return wasm, nil
}

// Native builds the application as a program of this machine into file out, for a debugger: without optimisations, with
// the sources' real paths.
func (b Builder) Native(ctx context.Context, dir, out string) error {
	if err := b.run(ctx, dir, nil, "-gcflags=all=-N -l", "-buildvcs=false", "-o", out); err != nil {
		return fmt.Errorf("as native Go: %w", err)
	}
	if info, err := os.Stat(out); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("build application %s: no program came of it (is there a package main?)", dir)
	}
	return nil
}

// run runs go build in a folder, with these variables beside the environment's.
func (b Builder) run(ctx context.Context, dir string, env []string, flags ...string) error {
	command := b.Go
	if command == "" {
		command = "go"
	}
	command, err := exec.LookPath(command)
	if err != nil {
		return ErrNoGo
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("build application: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("build application: %s is not a folder", dir)
	}
	if _, err := Replaced(dir); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, command, append(append([]string{"build"}, flags...), ".")...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), env...), "GOWORK=off", "GOFLAGS=")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("build application %s: %w", dir, context.Cause(ctx))
		}
		if text := strings.TrimSpace(output.String()); text != "" {
			return &CompileError{Dir: dir, Output: text}
		}
		return fmt.Errorf("build application %s: run %s: %w", dir, command, err)
	}
	return nil
}
