package lint

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Problem is one place that breaks a rule.
type Problem struct {
	File string // slash-separated, from the root
	Line int    // from 1; 0 when the file or folder as a whole is meant
	Rule string // its id in [Rules]
	Text string // what is wrong and what to do
}

// String is one line, in the form that editors jump to.
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", p.File, p.Line, p.Rule, p.Text)
}

// source is one Go file as the rules see it.
type source struct {
	name      string // slash-separated, from the root
	dir       string // its folder, "." for the root
	test      bool   // _test.go
	generated bool
	lines     int
	fset      *token.FileSet
	file      *ast.File
}

func (s *source) line(n ast.Node) int { return s.fset.Position(n.Pos()).Line }

// within tells whether the file lies in one of these folders or below.
func (s *source) within(dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return s.dir == d || strings.HasPrefix(s.dir, d+"/") })
}

// harness tells whether the file is there to test or to measure, not to be shipped.
func (s *source) harness() bool {
	return s.test || s.within("integration", "bench") || strings.HasSuffix(path.Base(s.dir), "test")
}

// guest tells whether the file is compiled into an application's WebAssembly module, which is a library without main.
func (s *source) guest() bool {
	return s.within("apps") || s.within("demo") || strings.HasSuffix(s.name, "_wasip1.go")
}

// imports yields what the file imports, with the place.
func (s *source) imports(yield func(at ast.Node, importPath string)) {
	for _, i := range s.file.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil {
			yield(i, p)
		}
	}
}

// localName returns the name under which the file knows an import, empty when it does not import it.
func (s *source) localName(importPath string) string {
	name := ""
	for _, i := range s.file.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil && p == importPath {
			name = path.Base(importPath)
			if i.Name != nil {
				name = i.Name.Name
			}
		}
	}
	return name
}

// Check reads the tree below root and returns what breaks the rules, sorted by place.
func Check(root string) ([]Problem, error) {
	var problems []Problem
	var sources []*source
	tree := os.DirFS(root)
	err := fs.WalkDir(tree, ".", func(rel string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel != "." && skippedFolder(rel) {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || rel == ".git" { // in a work tree .git is a file that says where the repository is
			return nil
		}
		content, err := fs.ReadFile(tree, rel)
		if err != nil {
			return err
		}
		problems = append(problems, checkWords(rel, content)...)
		if strings.HasSuffix(rel, ".go") {
			s, err := parse(rel, content)
			if err != nil {
				return err
			}
			sources = append(sources, s)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the tree below %s: %w", root, err)
	}
	for _, s := range sources {
		for _, check := range perFile {
			problems = append(problems, check(s)...)
		}
	}
	problems = append(problems, checkPackages(sources)...)
	slices.SortFunc(problems, func(a, b Problem) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return strings.Compare(a.Rule, b.Rule)
	})
	return slices.Compact(problems), nil
}

// skippedFolder tells what is not ours to judge: version control, what was built, what tests are fed with.
func skippedFolder(rel string) bool {
	base := path.Base(rel)
	switch base {
	case ".git", ".idea", ".vscode", "node_modules", "testdata", "target":
		return true
	}
	return rel == "bin" || rel == "out"
}

func parse(name string, content []byte) (*source, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, content, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	return &source{
		name: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
		generated: ast.IsGenerated(f), lines: bytes.Count(content, []byte("\n")), fset: fset, file: f,
	}, nil
}

// checkWords looks for words that no committed text may hold.
func checkWords(name string, content []byte) []Problem {
	if bytes.IndexByte(content, 0) >= 0 || path.Base(name) == "go.sum" {
		return nil // not a text
	}
	var out []Problem
	scan := bufio.NewScanner(bytes.NewReader(content))
	scan.Buffer(nil, len(content)+1)
	for line := 1; scan.Scan(); line++ {
		for _, w := range words {
			if !w.appliesTo(name) {
				continue
			}
			if m := w.pattern.FindString(scan.Text()); m != "" {
				out = append(out, Problem{name, line, w.rule, fmt.Sprintf("%q: %s", m, w.advice)})
			}
		}
	}
	return out
}
