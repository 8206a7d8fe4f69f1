package sdk

import (
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"
)

func TestFilesAreAWholeModule(t *testing.T) {
	files := Files()
	if err := fstest.TestFS(files, "go.mod", "embed.go", "flow/doc.go", "flow/guest_wasip1.go", "flowtest/flow.go", "native/main.go", "signature/verify.go", "internal/wire/decode.go"); err != nil {
		t.Error(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	for _, env := range [][]string{{}, {"GOOS=wasip1", "GOARCH=wasm"}} {
		cmd := exec.CommandContext(t.Context(), "go", "vet", "./...")
		cmd.Dir = dir
		cmd.Env = append(append(os.Environ(), "GOWORK=off", "GOFLAGS="), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("the unpacked module does not build %v: %v\n%s", env, err, out)
		}
	}
	mod, err := fs.ReadFile(files, "go.mod")
	if err != nil || !strings.Contains(string(mod), "module "+Module+"\n") || strings.Contains(string(mod), "require") {
		t.Errorf("go.mod: %s, %v", mod, err)
	}
}
