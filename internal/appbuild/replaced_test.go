package appbuild_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/appbuild"
)

func TestReplaced(t *testing.T) {
	root := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sdk := filepath.Join(root, "sdk")
	write("sdk/go.mod", "module example.com/sdk\n")
	write("apps/right/go.mod", "module x\n\nreplace (\n\texample.com/sdk v0.0.0 => ../../sdk // the SDK\n\texample.com/a => example.com/b v1.0.0\n)\nreplace example.com/c => "+filepath.ToSlash(sdk)+"\n")
	got, err := appbuild.Replaced(filepath.Join(root, "apps", "right"))
	if err != nil || !slices.Equal(got, []string{sdk, sdk}) {
		t.Errorf("%v, %v", got, err)
	}
	// A copy elsewhere does not find the SDK, and is told what to do.
	write("copy/go.mod", "module x\n\nreplace example.com/sdk => ../../sdk\n")
	copied := filepath.Join(root, "copy")
	_, err = appbuild.Builder{}.Compile(t.Context(), copied)
	var missing *appbuild.ReplaceError
	if !errors.As(err, &missing) || *missing != (appbuild.ReplaceError{Dir: copied, Module: "example.com/sdk", By: "../../sdk"}) ||
		!strings.Contains(err.Error(), "FL-BUILD-001: ") || !strings.Contains(err.Error(), "go mod edit -replace=example.com/sdk=PATH/TO/sdk") {
		t.Errorf("%v", err)
	}
	if _, err := appbuild.Replaced(root); err == nil || !strings.Contains(err.Error(), "a folder with a go.mod") {
		t.Errorf("%v", err)
	}
}
