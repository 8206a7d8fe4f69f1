package flowtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An application that was not built yet says what to run.
func TestDeclarationsThatAreNotThere(t *testing.T) {
	dir := t.TempDir()
	if _, err := readDeclarations(dir); err == nil || !strings.Contains(err.Error(), "application.json is not there") || !strings.Contains(err.Error(), "run `fairlead app build`") {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, declarations), []byte(`{"tables":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readDeclarations(dir); err == nil || !strings.Contains(err.Error(), "is damaged") || !strings.Contains(err.Error(), "fairlead app build") {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, declarations), []byte(`{"tables":[{"name":"a"}],"channels":[{"name":"c","kind":"send"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := readDeclarations(dir); err != nil || a.Tables[0].Name != "a" || a.Channels[0].Kind != "send" {
		t.Errorf("%+v, %v", a, err)
	}
}
