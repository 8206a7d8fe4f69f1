package appbuild

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/sandbox"
)

const hello = "../../apps/hello"

func TestBuildIsRepeatable(t *testing.T) {
	wasm, flows, err := Build(t.Context(), hello)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"countdown", "hello", "steps"}; !slices.Equal(flows, want) {
		t.Errorf("flows %v, want %v", flows, want)
	}
	// The same source elsewhere, with another environment, gives the same module.
	root := t.TempDir()
	for from, to := range map[string]string{"../../sdk": "sdk", hello: "apps/greeter"} {
		if err := os.CopyFS(filepath.Join(root, to), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOFLAGS", "-tags=other")
	again, err := Builder{}.Compile(t.Context(), filepath.Join(root, "apps/greeter"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(wasm, again) {
		t.Error("the same source gave another module in another place")
	}
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestErrorsSayWhatToDo(t *testing.T) {
	const mod = "module example.com/app\n\ngo 1.26.0\n"
	broken := write(t, map[string]string{"go.mod": mod, "main.go": "package main\n\nfunc main() { undefinedThing() }\n"})
	r, err := sandbox.New(t.Context(), sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.WithoutCancel(t.Context())) })
	b := Builder{Runtime: r}

	var ce *CompileError
	if _, _, err := b.Build(t.Context(), broken); !errors.As(err, &ce) || !strings.Contains(ce.Output, "main.go:3") {
		t.Errorf("broken code: %v", err)
	}
	if _, _, err := b.Build(t.Context(), filepath.Join(broken, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent folder: %v", err)
	}
	noSDK := write(t, map[string]string{"go.mod": mod, "main.go": "package main\n\nfunc main() {}\n"})
	if _, _, err := b.Build(t.Context(), noSDK); sandbox.KindOf(err) != sandbox.Rejected || !strings.Contains(err.Error(), "SDK") {
		t.Errorf("module without SDK: %v", err)
	}
	b.Go = filepath.Join(broken, "no-such-go")
	if _, _, err := b.Build(t.Context(), noSDK); !errors.Is(err, ErrNoGo) {
		t.Errorf("no Go: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.Go = ""
	if _, _, err := b.Build(ctx, hello); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
