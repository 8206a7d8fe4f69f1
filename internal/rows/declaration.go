package rows

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// Reserved is how the names of fairlead's own tables begin: applications neither declare nor name them. What
// [ReservedHistory] begins is kept for the records of who made a schema and what ran in it.
const (
	Reserved        = "fl_"
	ReservedHistory = "fairlead_"
)

// IsReserved tells whether a name, as SQL has it with or without quotes, is kept for fairlead's own, and by which
// beginning.
func IsReserved(name string) (prefix string, is bool) {
	plain := strings.ToLower(strings.TrimPrefix(name, `"`))
	for _, p := range []string{Reserved, ReservedHistory} {
		if strings.HasPrefix(plain, p) {
			return p, true
		}
	}
	return "", false
}

// Limits of declarations.
const (
	maxColumns   = 500
	maxQueryText = 64 << 10
)

var (
	identifier = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)
	queryName  = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,200}$`)
)

// Schema is what packages declare, checked and ready to make statements.
type Schema struct {
	tables  map[string]*Table
	queries map[string]*Query
	// stateQueries share the names of queries.
	stateQueries map[string]*StateQuery
}

// Table is a declared table.
type Table struct {
	name    string
	columns []column
	byName  map[string]int
	key     []int
	feed    bool
}

type column struct {
	name    string
	kind    kind
	notNull bool
}

// Name returns the table's name.
func (t *Table) Name() string { return t.name }

// Feed tells whether the table's changes go to the change feed.
func (t *Table) Feed() bool { return t.feed }

// Check returns everything that is wrong with declarations, joined, nil when nothing is. All packages of a virtual node
// share one schema, so it takes them together.
func Check(tables []*cpiv1.TableDeclaration, queries []*cpiv1.QueryDeclaration) error {
	_, err := Compile(tables, queries)
	return err
}

// CheckPackage is [Check] for all that a CPI declares.
func CheckPackage(cpi *cpiv1.Cpi) error {
	_, err := CompilePackage(cpi)
	return err
}

// CompilePackage is [Compile] for all that a CPI declares.
func CompilePackage(cpi *cpiv1.Cpi) (*Schema, error) {
	var tables []*cpiv1.TableDeclaration
	var queries []*cpiv1.QueryDeclaration
	for _, c := range cpi.GetCpks() {
		tables = append(tables, c.GetTables()...)
		queries = append(queries, c.GetQueries()...)
	}
	return Compile(tables, queries)
}

// Compile checks declarations and makes them ready.
func Compile(tables []*cpiv1.TableDeclaration, queries []*cpiv1.QueryDeclaration) (*Schema, error) {
	s := &Schema{map[string]*Table{}, map[string]*Query{}, map[string]*StateQuery{}}
	var problems []error
	for _, d := range tables {
		t, errs := compileTable(d)
		if s.tables[d.GetName()] != nil {
			errs = append(errs, wrongDeclaration("table %s is declared twice; all packages of a CPI share one schema", d.GetName()))
		}
		s.tables[d.GetName()] = t
		problems = append(problems, errs...)
	}
	for _, d := range queries {
		twice := s.queries[d.GetName()] != nil || s.stateQueries[d.GetName()] != nil
		var errs []error
		if d.GetStates() {
			s.stateQueries[d.GetName()], errs = compileStateQuery(d)
		} else {
			s.queries[d.GetName()], errs = compileQuery(d)
		}
		if twice {
			errs = append(errs, wrongDeclaration("query %s is declared twice; all packages of a CPI share their queries' names", d.GetName()))
		}
		problems = append(problems, errs...)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return s, nil
}

// Table returns a declared table, or a *[Problem].
func (s *Schema) Table(name string) (*Table, error) {
	if t, ok := s.tables[name]; ok {
		return t, nil
	}
	return nil, notDeclared("table %q is not declared; %s", name, declared("tables", s.tables))
}

// Query returns a declared query, or a *[Problem].
func (s *Schema) Query(name string) (*Query, error) {
	if q, ok := s.queries[name]; ok {
		return q, nil
	}
	if _, ok := s.stateQueries[name]; ok {
		return nil, notDeclared("query %q is one of states; ask it of the ledger", name)
	}
	return nil, notDeclared("query %q is not declared; %s", name, declared("queries", s.queries))
}

// Tables returns the names of the declared tables, sorted.
func (s *Schema) Tables() []string { return slices.Sorted(maps.Keys(s.tables)) }

// Feeds returns the tables whose changes go to the change feed, by name.
func (s *Schema) Feeds() []*Table {
	var out []*Table
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		if s.tables[name].feed {
			out = append(out, s.tables[name])
		}
	}
	return out
}

func declared[T any](what string, all map[string]T) string {
	if len(all) == 0 {
		return "the package declares no " + what
	}
	names := slices.Sorted(maps.Keys(all))
	if len(names) > 20 {
		names = append(names[:20], "…")
	}
	return "the package declares the " + what + " " + strings.Join(names, ", ")
}

func compileTable(d *cpiv1.TableDeclaration) (*Table, []error) {
	t := &Table{name: d.GetName(), byName: map[string]int{}, feed: d.GetFeed()}
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, wrongDeclaration("table %q: "+format, append([]any{d.GetName()}, args...)...))
	}
	if why := badIdentifier(d.GetName()); why != "" {
		bad("the name %s", why)
	}
	if n := len(d.GetColumns()); n == 0 || n > maxColumns {
		bad("it has %d columns; declare 1 to %d", n, maxColumns)
	}
	for i, c := range d.GetColumns() {
		k, ok := kindOf(c.GetType())
		if !ok {
			bad("column %q has the type %q; use one of %s", c.GetName(), c.GetType(), strings.Join(Types(), ", "))
		}
		if why := badIdentifier(c.GetName()); why != "" {
			bad("column %q: the name %s", c.GetName(), why)
		}
		if _, twice := t.byName[c.GetName()]; twice {
			bad("column %q is declared twice", c.GetName())
		}
		t.byName[c.GetName()] = i
		t.columns = append(t.columns, column{c.GetName(), k, c.GetNotNull()})
	}
	if len(d.GetPrimaryKey()) == 0 {
		bad("it has no primary key; name the columns that tell its rows apart")
	}
	for _, name := range d.GetPrimaryKey() {
		i, ok := t.byName[name]
		switch {
		case !ok:
			bad("the primary key names %q, which is no column", name)
			continue
		case slices.Contains(t.key, i):
			bad("the primary key names %q twice", name)
		case t.columns[i].kind == kindJSON:
			bad("column %q of the primary key is of type json, which has no order; use text", name)
		}
		t.columns[i].notNull = true
		t.key = append(t.key, i)
	}
	return t, problems
}

// badIdentifier says why a name cannot be one of SQL, empty when it can.
func badIdentifier(name string) string {
	prefix, reserved := IsReserved(name)
	switch {
	case !identifier.MatchString(name):
		return "must begin with a to z or _, go on with a to z, 0 to 9 and _, and have at most 63 characters"
	case reserved:
		return "begins with " + prefix + ", which is kept for fairlead's own tables; choose another name"
	case strings.HasPrefix(name, "pg_"):
		return "begins with pg_, which is kept for Postgres"
	}
	return ""
}

// quote makes an identifier of SQL. Declared names need no escaping; it is done all the same.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
