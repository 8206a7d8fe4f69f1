package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/cpi"
)

// An application is compared with the package of its name in a bundle; alone, with whatever is there, for a changed name is
// something to be told.
func TestWhatIsComparedWith(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "fairlead.yaml"), []byte("name: pay\nversion: 2.0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	of := func(names ...string) *cpi.Package {
		p := &cpi.Package{}
		for _, n := range names {
			p.CPKs = append(p.CPKs, &cpi.CPKContent{Name: n})
		}
		return p
	}
	for want, p := range map[string]*cpi.Package{"pay": of("lib", "pay"), "old": of("old")} {
		if c, err := olderOf(p, dir); err != nil || c.Name != want {
			t.Errorf("%v, %v, want %s", c, err, want)
		}
	}
	for want, p := range map[string]*cpi.Package{"called pay; it has lib, web": of("lib", "web"), "called pay; it has none": of()} {
		if _, err := olderOf(p, dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
