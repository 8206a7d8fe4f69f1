package scaffold

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/internal/sandbox"
)

// A new application tests, vets and builds as it is, and twice in different folders it makes the same package.
func TestNew(t *testing.T) {
	r, err := sandbox.New(t.Context(), sandbox.Config{IdleInstances: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	var packages [][]byte
	for _, place := range []string{"one", "another/place"} {
		parent := filepath.Join(t.TempDir(), place)
		if err := os.MkdirAll(parent, 0o755); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(parent, "pay-now")
		if err := New(dir, "pay-now"); err != nil {
			t.Fatal(err)
		}
		built, err := appbuild.Builder{Runtime: r}.Package(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if fit, err := built.DeclarationsFit(dir); err != nil || !fit {
			t.Errorf("the declarations for tests are not those of fairlead.yaml: %v", err)
		}
		if len(packages) == 0 {
			for _, args := range [][]string{{"vet", "./..."}, {"test", "./..."}} {
				cmd := exec.CommandContext(t.Context(), "go", args...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GOPROXY=off")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("go %v: %v\n%s", args, err, out)
				}
			}
		}
		var b bytes.Buffer
		if err := cpi.WriteCPK(&b, built.Code); err != nil {
			t.Fatal(err)
		}
		packages = append(packages, b.Bytes())
		var exists *ExistsError
		if err := New(dir, "pay-now"); !errors.As(err, &exists) {
			t.Errorf("made twice: %v", err)
		}
	}
	if !bytes.Equal(packages[0], packages[1]) {
		t.Error("the same source made two packages")
	}
	p, err := cpi.OpenBytes(packages[0], cpi.Options{Kind: cpi.CPK, Trust: cpi.Trust{Unsigned: true}})
	if err != nil {
		t.Fatal(err)
	}
	m := p.CPKs[0].Modules[0]
	if m.Name != "pay-now" || len(m.Flows) != 2 || !m.Flows[0].GetStartable() || m.Flows[1].GetProtocol() != "pay-now" || m.Flows[1].GetProtocolVersions()[0] != 1 {
		t.Errorf("%+v", m)
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"", "Pay", "1pay", "pay/x", "..", "pay_x", "main", "a b", "-pay", "pay-"} {
		if err := New(filepath.Join(t.TempDir(), "x"), name); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
	for name, why := range map[string]string{"dev": "fairlead dev calls", "flow": "packages of the SDK", "com1": "Windows", "errors": "standard library", "Pay": "as in pay or pay-now"} {
		if err := CheckName(name); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", name, err, why)
		}
	}
	if err := CheckName("devices"); err != nil {
		t.Error(err)
	}
	dir := filepath.Join(t.TempDir(), "x", "y")
	if err := New(dir, "pay"); err == nil || !strings.Contains(err.Error(), "is not there: make it first") {
		t.Errorf("a folder in a folder that is not there: %v", err)
	}
}
