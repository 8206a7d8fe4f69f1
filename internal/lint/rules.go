package lint

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Module is the path of the repository's root module.
const Module = "github.com/fairleadio/fairlead"

// Rules lists every rule and why it is there.
func Rules() map[string]string {
	return map[string]string{
		"processors-apart":  "workers share nothing but topics: processors/X never imports processors/Y",
		"composition-root":  "only internal/app imports the workers",
		"records-alone":     "topics and schemas import nothing of fairlead, so that every tool can use them",
		"sdk-alone":         "application code brings no dependencies: sdk imports the standard library and itself",
		"goka":              "goka only in engine and processors",
		"sarama":            "sarama's types only in engine",
		"pgx":               "pgx only in internal/postgres",
		"vault":             "vault/api only in internal/vault",
		"wazero":            "wazero only in internal/sandbox",
		"private-keys":      "private keys that sign are in Vault: only named files hold others, for TLS from files and for developers",
		"domain-pure":       "domain packages (ledger, members, sessions) import no I/O",
		"harness":           "what is shipped imports no test harness",
		"std-log":           "log/slog, not log",
		"uncommitted-reads": "goka's VisitAll and Processor.Get read outside of transactions",
		"doc":               "every package says in doc.go what it is for",
		"package-name":      "a package is one noun",
		"file-length":       "a file has at most 600 lines",
		"sleep":             "a test waits for a condition, not for a time",
		"skip":              "only integration tests may skip, and say why; others only when asked to be short",
		"init":              "no init(): wiring is done by hand (a WebAssembly guest has no other place to begin)",
		"unfinished":        "nothing unfinished is committed",
		"machine-path":      "no path of one machine, no address of one registry",
	}
}

// perFile are the checks that need one Go file.
var perFile = []func(*source) []Problem{checkImports, checkCalls, checkShape, checkPrivateKeys}

const (
	goka    = "github.com/lovoo/goka"
	sarama  = "github.com/IBM/sarama"
	pgx     = "github.com/jackc/pgx"
	pgconn  = "github.com/jackc/pgconn"
	vault   = "github.com/hashicorp/vault"
	openbao = "github.com/openbao/openbao"
	wazero  = "github.com/tetratelabs/wazero"
	franz   = "github.com/twmb/franz-go"
)

// reserved are libraries that only some folders may import. Benchmarks compare with the libraries themselves, and
// integration tests define groups.
var reserved = []struct {
	library, rule string
	dirs          []string
}{
	{goka, "goka", []string{"engine", "processors", "integration", "bench"}},
	{sarama, "sarama", []string{"engine", "bench"}},
	{pgx, "pgx", []string{"internal/postgres"}},
	{pgconn, "pgx", []string{"internal/postgres"}},
	{vault, "vault", []string{"internal/vault"}},
	{openbao, "vault", []string{"internal/vault"}},
	{wazero, "wazero", []string{"internal/sandbox"}},
}

// domain are the folders of packages that only compute.
var domain = []string{"ledger", "members", "sessions", "internal/ledger", "internal/members", "internal/sessions"}

// virtualTime are folders whose tests run on a clock that jumps when all wait: there a sleep costs no time and orders
// events exactly.
var virtualTime = []string{"engine/sim"}

// inputOutput are what a domain package must not import.
var inputOutput = []string{"net", "os", "database/sql", "io/fs", franz, goka, sarama, pgx, vault, wazero}

// isOrBelow tells whether an import path is this one or a package below it, in any major version.
func isOrBelow(p, of string) bool { return p == of || strings.HasPrefix(p, of+"/") }

// ours returns the folder of an import path of the root module.
func ours(p string) (dir string, ok bool) {
	if !isOrBelow(p, Module) {
		return "", false
	}
	return strings.TrimPrefix(strings.TrimPrefix(p, Module), "/"), true
}

// worker returns X of processors/X or below.
func worker(dir string) (string, bool) {
	rest, ok := strings.CutPrefix(dir, "processors/")
	if !ok {
		return "", false
	}
	name, _, _ := strings.Cut(rest, "/")
	return name, true
}

func checkImports(s *source) []Problem {
	var out []Problem
	s.imports(func(at ast.Node, p string) {
		add := func(rule, format string, args ...any) {
			out = append(out, Problem{s.name, s.line(at), rule, fmt.Sprintf(format, args...)})
		}
		for _, r := range reserved {
			if isOrBelow(p, r.library) && !s.within(r.dirs...) {
				add(r.rule, "%s is imported; only %s may", p, strings.Join(r.dirs, ", "))
			}
		}
		if s.within(domain...) && !s.test && slices.ContainsFunc(inputOutput, func(l string) bool { return isOrBelow(p, l) }) {
			add("domain-pure", "%s is imported: take what it reads as an argument, return what it writes", p)
		}
		if p == "log" && !s.harness() {
			add("std-log", "log is imported: use log/slog")
		}
		if p == "testing" && !s.harness() {
			add("harness", "testing is imported by what is shipped: move it to a package named …test")
		}
		dir, ok := ours(p)
		if s.within("sdk") && (!ok || !isOrBelow(dir, "sdk")) && !standard(p) {
			add("sdk-alone", "%s is imported", p)
		}
		if !ok {
			return
		}
		if !s.harness() && (isOrBelow(dir, "integration") || isOrBelow(dir, "bench") || strings.HasSuffix(path.Base(dir), "test")) {
			add("harness", "%s is imported by what is shipped", p)
		}
		if s.within("topics", "schemas") && !s.test && !recordsMayImport(s.dir, dir) {
			add("records-alone", "%s is imported: hand it in from above", p)
		}
		if to, isWorker := worker(dir); isWorker {
			from, inWorker := worker(s.dir)
			switch {
			case inWorker && from != to:
				add("processors-apart", "%s is imported by worker %s: declare a topic between them", p, from)
			case !inWorker && !s.harness() && !s.within("internal/app"):
				add("composition-root", "%s is imported: let internal/app put them together", p)
			}
		}
	})
	return out
}

// recordsMayImport tells whether topics or schemas may import a folder of ours: their own and the generated code.
func recordsMayImport(from, to string) bool {
	if isOrBelow(from, "topics") {
		return isOrBelow(to, "topics")
	}
	return isOrBelow(to, "schemas") || to == "engine/enginepb"
}

// standard tells whether an import path is of the standard library: its first element has no dot.
func standard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".")
}

// checkCalls looks at what is called.
func checkCalls(s *source) []Problem {
	if s.generated {
		return nil
	}
	var out []Problem
	timeName, gokaName := s.localName("time"), s.localName(goka)
	processors := gokaProcessors(s, gokaName)
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		add := func(rule, text string) { out = append(out, Problem{s.name, s.line(sel.Sel), rule, text}) }
		x, _ := sel.X.(*ast.Ident)
		switch name := sel.Sel.Name; {
		case name == "Sleep" && x != nil && timeName != "" && x.Name == timeName && s.harness() && !s.within(virtualTime...):
			add("sleep", "time.Sleep in a test: wait for the condition that the next line needs")
		case (name == "Skip" || name == "Skipf" || name == "SkipNow") && x != nil && s.isTesting(x) && s.test && !s.maySkip(sel):
			add("skip", "a skipped test proves nothing: make it run everywhere, or move it to integration/")
		case name == "VisitAll" || name == "VisitAllWithStats":
			if gokaName != "" {
				add("uncommitted-reads", "goka's "+name+" runs callbacks outside of transactions: use the engine's stores")
			}
		case name == "Get" && processors[lastName(sel.X)]:
			add("uncommitted-reads", "goka's Processor.Get reads what is not committed: use the engine's committed reads")
		case name == "NewProcessor" && gokaName != "" && x != nil && x.Name == gokaName && !s.within("engine", "bench"):
			add("uncommitted-reads", "goka.NewProcessor runs at least once: use engine.New")
		}
		return true
	})
	return out
}

// maySkip tells whether a skip is in order: in an integration test, in the simulation (whose seeds run in processes of
// their own), and where the caller asked for short tests, which `make test` never does.
func (s *source) maySkip(at ast.Node) bool {
	short := s.within("integration", "engine/sim")
	ast.Inspect(s.file, func(n ast.Node) bool {
		if n == nil || at.Pos() < n.Pos() || at.Pos() >= n.End() {
			return false
		}
		branch, ok := n.(*ast.IfStmt)
		if !ok {
			return true
		}
		call, ok := branch.Cond.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		short = short || ok && sel.Sel.Name == "Short" && lastName(sel.X) == s.localName("testing")
		return true
	})
	return short
}

// isTesting tells whether an identifier is a parameter of testing.T, B, F or TB: the innermost function around it that
// has a parameter of this name decides. (A step of a rapid.T may be skipped: the next one is drawn.)
func (s *source) isTesting(x *ast.Ident) bool {
	found := false
	ast.Inspect(s.file, func(n ast.Node) bool {
		if n == nil || x.Pos() < n.Pos() || x.Pos() >= n.End() {
			return false
		}
		var t *ast.FuncType
		switch n := n.(type) {
		case *ast.FuncDecl:
			t = n.Type
		case *ast.FuncLit:
			t = n.Type
		default:
			return true
		}
		for _, field := range t.Params.List {
			for _, name := range field.Names {
				if name.Name == x.Name {
					found = s.ofTesting(field.Type)
				}
			}
		}
		return true
	})
	return found
}

// ofTesting tells whether a type is of package testing.
func (s *source) ofTesting(t ast.Expr) bool {
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	sel, ok := t.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	return ok && pkg.Name == s.localName("testing")
}

func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// gokaProcessors returns the names of variables and fields in the file that hold a *goka.Processor.
func gokaProcessors(s *source, gokaName string) map[string]bool {
	names := map[string]bool{}
	if gokaName == "" {
		return names
	}
	isGoka := func(e ast.Expr, name string) bool {
		sel, ok := e.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != name {
			return false
		}
		x, ok := sel.X.(*ast.Ident)
		return ok && x.Name == gokaName
	}
	ofType := func(t ast.Expr, idents []*ast.Ident) {
		if star, ok := t.(*ast.StarExpr); ok && isGoka(star.X, "Processor") {
			for _, i := range idents {
				names[i.Name] = true
			}
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			ofType(n.Type, n.Names)
		case *ast.ValueSpec:
			ofType(n.Type, n.Names)
		case *ast.AssignStmt:
			if len(n.Rhs) == 1 {
				if call, ok := n.Rhs[0].(*ast.CallExpr); ok && isGoka(call.Fun, "NewProcessor") {
					names[lastName(n.Lhs[0])] = true
				}
			}
		}
		return true
	})
	delete(names, "")
	return names
}

const maxLines = 600

// checkShape looks at the file as such.
func checkShape(s *source) []Problem {
	if s.generated {
		return nil
	}
	var out []Problem
	if s.lines > maxLines {
		out = append(out, Problem{s.name, 0, "file-length", fmt.Sprintf("%d lines: split it by what its parts are for", s.lines)})
	}
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" && !s.guest() {
			out = append(out, Problem{s.name, s.line(f), "init", "func init: do it where the value is needed, or in internal/app"})
		}
	}
	return out
}

var badNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "shared", "base"}

// checkPackages looks at folders: their doc.go and their name.
func checkPackages(sources []*source) []Problem {
	type pkg struct {
		name       string
		handmade   bool
		doc, about bool // has doc.go with a comment; has a comment anywhere
	}
	packages := map[string]*pkg{}
	for _, s := range sources {
		if s.test {
			continue
		}
		p := packages[s.dir]
		if p == nil {
			p = &pkg{name: s.file.Name.Name}
			packages[s.dir] = p
		}
		p.handmade = p.handmade || !s.generated
		commented := s.file.Doc != nil && strings.TrimSpace(s.file.Doc.Text()) != ""
		p.about = p.about || commented
		p.doc = p.doc || commented && path.Base(s.name) == "doc.go"
	}
	var out []Problem
	for dir, p := range packages {
		if slices.Contains(badNames, p.name) {
			out = append(out, Problem{dir, 0, "package-name", fmt.Sprintf("package %s: name it after what it holds", p.name)})
		}
		switch {
		case !p.handmade:
		case p.name == "main" && !p.about:
			out = append(out, Problem{dir, 0, "doc", "a command without a comment that says what it does"})
		case p.name != "main" && !p.doc:
			out = append(out, Problem{dir, 0, "doc", "no doc.go with a package comment: what is it for, what never changes, who calls it?"})
		}
	}
	return out
}

// word is a pattern that no text may hold.
type word struct {
	rule, advice string
	pattern      *regexp.Regexp
	// except are files or folders where it may be: this package, which must name what it looks for.
	except []string
}

func (w *word) appliesTo(name string) bool {
	return !slices.ContainsFunc(w.except, func(e string) bool { return isOrBelow(name, e) })
}

var words = []*word{
	{
		rule:    "unfinished",
		advice:  "finish it, or file an issue and say in the docs what is not there",
		pattern: regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`),
		except:  []string{"internal/lint"},
	},
	{
		rule:    "machine-path",
		advice:  "a path of one machine: take it from a flag, the environment or the system's directories",
		pattern: regexp.MustCompile(`(^|[^\w.$}/-])/(work/(main|shared)|root/|home/[a-z]|Users/[a-z]|tmp/fl)`),
		except:  []string{"internal/lint"},
	},
	{
		rule:    "machine-path",
		advice:  "an address of one registry: remove it from the lock file",
		pattern: regexp.MustCompile(`"resolved"\s*:\s*"https?:`),
		except:  []string{"internal/lint"},
	},
}
