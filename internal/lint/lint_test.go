package lint

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRepository is what the package is for: the repository keeps the rules.
func TestRepository(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatalf("no go.mod where the repository's root should be: %v", err)
	}
	problems, err := Check(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}

// TestEveryRuleCanFail runs the rules over a tree that breaks each of them. A line that breaks a rule says so with
// "want: rule"; a file or folder that does as a whole is listed in the file wants.
func TestEveryRuleCanFail(t *testing.T) {
	root := filepath.Join("testdata", "broken")
	problems, err := Check(root)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	broken := map[string]bool{}
	for _, p := range problems {
		got[fmt.Sprintf("%s:%d %s", p.File, p.Line, p.Rule)] = true
		broken[p.Rule] = true
		if p.Text == "" || !strings.Contains(p.String(), p.File) {
			t.Errorf("a problem that says nothing: %+v", p)
		}
	}
	want := wants(t, root)
	for w := range want {
		if !got[w] {
			t.Errorf("not found: %s", w)
		}
	}
	for g := range got {
		if !want[g] {
			t.Errorf("found where nothing is wrong: %s", g)
		}
	}
	for rule, why := range Rules() {
		if !broken[rule] {
			t.Errorf("rule %s (%s) was never seen to fail: add a violation to %s", rule, why, root)
		}
	}
	for rule := range broken {
		if Rules()[rule] == "" {
			t.Errorf("rule %s is not listed in Rules", rule)
		}
	}
}

// wants collects the marks of the broken tree.
func wants(t *testing.T, root string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		scan := bufio.NewScanner(f)
		for line := 1; scan.Scan(); line++ {
			_, marks, ok := strings.Cut(scan.Text(), "want: ")
			if !ok {
				continue
			}
			for _, rule := range strings.Fields(marks) {
				out[fmt.Sprintf("%s:%d %s", filepath.ToSlash(rel), line, rule)] = true
			}
		}
		return scan.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(root, "wants"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(whole)), "\n") {
		file, rule, _ := strings.Cut(line, " ")
		out[file+":0 "+rule] = true
	}
	return out
}

// TestFileLength makes a long file, so that none has to be kept.
func TestFileLength(t *testing.T) {
	long := "// Package long is long.\npackage long\n" + strings.Repeat("\n", maxLines)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "doc.go"), []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	problems, err := Check(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Rule == "file-length" }) {
		t.Errorf("a file of %d lines was not found: %v", maxLines+2, problems)
	}
}

// TestUnreadable proves that a tree that cannot be read or parsed is an error, not a pass.
func TestUnreadable(t *testing.T) {
	if _, err := Check(filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("an absent tree passed")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte("packag x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(dir); err == nil {
		t.Error("a file that is not Go passed")
	}
}
