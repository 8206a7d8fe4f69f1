package appbuild_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/appbuild"
)

// TestReadmesFlowCanBeInstalled builds the flow that README.md shows, as README.md says.
func TestReadmesFlowCanBeInstalled(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, found := strings.Cut(string(readme), "```go\n")
	code, _, closed := strings.Cut(code, "```\n")
	if !found || !closed {
		t.Fatal("README.md shows no flow")
	}
	sdk, err := filepath.Abs("../../sdk")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mod := "module greet\n\ngo 1.26.0\n\nrequire github.com/fairleadio/fairlead/sdk v0.0.0\n\nreplace github.com/fairleadio/fairlead/sdk => " + sdk + "\n"
	for name, text := range map[string]string{"greet.go": code, "go.mod": mod} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, flows, err := appbuild.Build(t.Context(), dir)
	if err != nil || !slices.Equal(flows, []string{"greet"}) {
		t.Errorf("flows %v, %v", flows, err)
	}
}
