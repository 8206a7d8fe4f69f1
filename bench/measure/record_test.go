package measure

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRecord(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"docs", "bench/x"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	type results struct{ Rate int }
	if err := Record(root, "x", results{7}, "a page", ""); err != nil {
		t.Fatal(err)
	}
	var r results
	if err := Recorded(root, "x", &r); err != nil || r.Rate != 7 {
		t.Errorf("%+v %v", r, err)
	}
	if page, err := os.ReadFile(filepath.Join(root, "docs", "performance-x.md")); err != nil || string(page) != "a page" {
		t.Errorf("%q %v", page, err)
	}
	if _, err := os.Stat(filepath.Join(root, "docs", "performance-x.svg")); !os.IsNotExist(err) {
		t.Errorf("a picture without one: %v", err)
	}
	if err := Record(root, "x", results{8}, "a page", "<svg/>"); err != nil {
		t.Fatal(err)
	}
	if svg, err := os.ReadFile(filepath.Join(root, "docs", "performance-x.svg")); err != nil || string(svg) != "<svg/>" {
		t.Errorf("%q %v", svg, err)
	}
	if err := Recorded(root, "y", &r); err == nil {
		t.Error("what was never recorded is read")
	}
}
