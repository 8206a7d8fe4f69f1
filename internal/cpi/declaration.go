package cpi

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// ColumnTypes are the types that columns and parameters may have.
func ColumnTypes() []string {
	return []string{"text", "boolean", "integer", "bigint", "numeric", "double", "timestamp", "date", "uuid", "json", "bytes"}
}

const (
	maxColumns    = 200
	maxParameters = 100
	maxSQL        = 64 << 10
	maxModules    = 100
	maxFlows      = 1000
)

// Check checks the declarations of a package of code against each other. All that is wrong is in the one error. That the
// SQL is right, only a database can tell; migrations and queries are tried there when a package is installed.
func (c *CPKContent) Check() error {
	var problems []error
	add := func(what, name string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("%s %q: %w", what, name, err))
		}
	}
	flows, err := c.checkModules(add)
	problems = append(problems, err)
	for i, m := range c.Migrations {
		if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\.sql$`).MatchString(m.Name) {
			add("migration", m.Name, errors.New("the name is letters, digits and _ . - and ends in .sql"))
		}
		if i > 0 && c.Migrations[i-1].Name >= m.Name {
			add("migration", m.Name, errors.New("migrations are sorted by name and each is there once"))
		}
		if m.Size > MaxMigration {
			add("migration", m.Name, fmt.Errorf("it has %d bytes, at most %d are allowed", m.Size, MaxMigration))
		}
	}
	feed, names := false, map[string]bool{}
	for _, t := range c.Tables {
		add("table", t.GetName(), errors.Join(once(names, "table "+t.GetName()), checkTable(t)))
		feed = feed || t.GetFeed()
	}
	if len(c.Tables) > 0 && len(c.Migrations) == 0 {
		problems = append(problems, errors.New("tables are declared and no migration makes them: put a script with CREATE TABLE into migrations/"))
	}
	for _, q := range c.Queries {
		add("query", q.GetName(), errors.Join(once(names, "query "+q.GetName()), checkQuery(q)))
	}
	for _, d := range c.Channels {
		add("channel", d.GetName(), errors.Join(once(names, "channel "+d.GetName()), checkChannel(d, flows, feed)))
	}
	if err := errors.Join(problems...); err != nil {
		return &Error{ID: ErrDeclaration, Detail: strings.ReplaceAll(err.Error(), "\n", "; "), Remedy: "correct it in fairlead.yaml and build again"}
	}
	return nil
}

func once(names map[string]bool, name string) error {
	if names[name] {
		return errors.New("it is declared twice")
	}
	names[name] = true
	return nil
}

// checkModules returns the flows of the modules.
func (c *CPKContent) checkModules(add func(what, name string, err error)) (flows map[string]*cpiv1.FlowClass, err error) {
	flows = map[string]*cpiv1.FlowClass{}
	if len(c.Modules) == 0 || len(c.Modules) > maxModules {
		return flows, fmt.Errorf("the package has %d modules: 1 to %d are needed", len(c.Modules), maxModules)
	}
	for i, m := range c.Modules {
		if !regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,62}$`).MatchString(m.Name) || i > 0 && c.Modules[i-1].Name >= m.Name {
			add("module", m.Name, errors.New("names are lower-case letters, digits and _ . -, sorted, and each is there once"))
		}
		if m.Size > MaxModule {
			add("module", m.Name, fmt.Errorf("it has %d bytes, at most %d are allowed", m.Size, MaxModule))
		}
		if m.Kind == cpiv1.ModuleKind_MODULE_KIND_CONTRACT && len(m.Flows) > 0 {
			add("module", m.Name, errors.New("a module of contracts has flows"))
		}
		if len(m.Flows) > maxFlows {
			add("module", m.Name, fmt.Errorf("it has %d flows, at most %d are allowed", len(m.Flows), maxFlows))
		}
		for _, f := range m.Flows {
			if !regexp.MustCompile(`^[A-Za-z0-9._$-]{1,200}$`).MatchString(f.GetName()) {
				add("flow", f.GetName(), errors.New("the name is 1 to 200 letters, digits and . _ - $"))
			}
			if flows[f.GetName()] != nil {
				add("flow", f.GetName(), errors.New("two modules have it"))
			}
			if (f.GetProtocol() == "") != (len(f.GetProtocolVersions()) == 0) || slices.Contains(f.GetProtocolVersions(), 0) {
				add("flow", f.GetName(), errors.New("a protocol has versions, from 1 on"))
			}
			flows[f.GetName()] = f
		}
	}
	return flows, nil
}

const identifier = `^[a-z][a-z0-9_]{0,62}$`

func checkIdentifier(name string) error {
	if !regexp.MustCompile(identifier).MatchString(name) {
		return fmt.Errorf("name %q: 1 to 63 lower-case letters, digits and _ are allowed, the first a letter", name)
	}
	return nil
}

func checkColumns(what string, columns []*cpiv1.ColumnDeclaration) (map[string]*cpiv1.ColumnDeclaration, error) {
	var problems []error
	known := map[string]*cpiv1.ColumnDeclaration{}
	for _, c := range columns {
		if err := checkIdentifier(c.GetName()); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", what, err))
		}
		if known[c.GetName()] != nil {
			problems = append(problems, fmt.Errorf("%s %q is declared twice", what, c.GetName()))
		}
		if !slices.Contains(ColumnTypes(), c.GetType()) {
			problems = append(problems, fmt.Errorf("%s %q has type %q: use %s", what, c.GetName(), c.GetType(), strings.Join(ColumnTypes(), ", ")))
		}
		known[c.GetName()] = c
	}
	return known, errors.Join(problems...)
}

func checkTable(t *cpiv1.TableDeclaration) error {
	columns, err := checkColumns("column", t.GetColumns())
	problems := []error{checkIdentifier(t.GetName()), err}
	if n := len(t.GetColumns()); n == 0 || n > maxColumns {
		problems = append(problems, fmt.Errorf("it has %d columns: 1 to %d are needed", n, maxColumns))
	}
	for _, reserved := range []string{"fairlead_", "vnode_", "utxo_", "pg_"} {
		if strings.HasPrefix(t.GetName(), reserved) {
			problems = append(problems, fmt.Errorf("names that begin with %s are the platform's", reserved))
		}
	}
	if len(t.GetPrimaryKey()) == 0 {
		problems = append(problems, errors.New("it has no primary key"))
	}
	for i, k := range t.GetPrimaryKey() {
		switch {
		case columns[k] == nil:
			problems = append(problems, fmt.Errorf("the primary key has %q, which is no column", k))
		case slices.Contains(t.GetPrimaryKey()[:i], k):
			problems = append(problems, fmt.Errorf("the primary key has %q twice", k))
		case columns[k].GetType() == "json":
			problems = append(problems, fmt.Errorf("the primary key has %q, whose type json has no order", k))
		}
	}
	return errors.Join(problems...)
}

func checkQuery(q *cpiv1.QueryDeclaration) error {
	var problems []error
	if !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,99}$`).MatchString(q.GetName()) {
		problems = append(problems, errors.New("the name is 1 to 100 letters, digits and . _ -, the first a letter"))
	}
	if n := len(q.GetParameters()); n > maxParameters {
		problems = append(problems, fmt.Errorf("it has %d parameters, at most %d are allowed", n, maxParameters))
	}
	if n := len(q.GetSql()); n > maxSQL {
		return errors.Join(append(problems, fmt.Errorf("its SQL has %d bytes, at most %d are allowed", n, maxSQL))...)
	}
	parameters, err := checkColumns("parameter", q.GetParameters())
	problems = append(problems, err)
	s, err := scanSQL(q.GetSql())
	if err != nil {
		return errors.Join(append(problems, err)...)
	}
	for _, name := range s.parameters {
		if parameters[name] == nil {
			problems = append(problems, fmt.Errorf("its SQL has :%s, which is not declared under parameters", name))
		}
		delete(parameters, name)
	}
	for _, p := range q.GetParameters() {
		if parameters[p.GetName()] != nil {
			problems = append(problems, fmt.Errorf("parameter %q is not used in its SQL", p.GetName()))
		}
	}
	switch verb := strings.ToUpper(s.verb); {
	case slices.Contains([]string{"SELECT", "WITH", "VALUES"}, verb):
	case slices.Contains([]string{"INSERT", "UPDATE", "DELETE", "MERGE"}, verb):
		if !q.GetWrites() {
			problems = append(problems, fmt.Errorf("its SQL begins with %s: say writes: true", verb))
		}
	default:
		problems = append(problems, fmt.Errorf("its SQL begins with %q: SELECT, WITH, VALUES, INSERT, UPDATE, DELETE or MERGE is needed; tables are changed in migrations", s.verb))
	}
	for i, o := range q.GetOrderBy() {
		if err := checkIdentifier(o); err != nil || slices.Contains(q.GetOrderBy()[:i], o) {
			problems = append(problems, fmt.Errorf("order_by has %q: name columns of the result, each once", o))
		}
	}
	if q.GetWrites() && len(q.GetOrderBy()) > 0 {
		problems = append(problems, errors.New("a query that writes has no pages and no order_by"))
	}
	return errors.Join(problems...)
}

func checkChannel(d *cpiv1.ChannelDeclaration, flows map[string]*cpiv1.FlowClass, feed bool) error {
	var problems []error
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`).MatchString(d.GetName()) {
		problems = append(problems, errors.New("the name is 1 to 63 letters, digits and _ -, the first a letter or digit"))
	}
	receives := d.GetKind() == cpiv1.ChannelKind_CHANNEL_KIND_RECEIVE
	switch {
	case receives && d.GetFlowClass() == "":
		problems = append(problems, errors.New("a channel that receives names the flow that its records start"))
	case receives && flows[d.GetFlowClass()] == nil:
		problems = append(problems, fmt.Errorf("flow %q is in none of the modules", d.GetFlowClass()))
	case receives && flows[d.GetFlowClass()].GetProtocol() != "":
		problems = append(problems, fmt.Errorf("flow %q is a responder: only sessions start it", d.GetFlowClass()))
	case !receives && d.GetFlowClass() != "":
		problems = append(problems, errors.New("only a channel that receives has a flow"))
	case d.GetKind() == cpiv1.ChannelKind_CHANNEL_KIND_FEED && !feed:
		problems = append(problems, errors.New("it is the change feed and no table says feed: true"))
	case d.GetKind() == cpiv1.ChannelKind_CHANNEL_KIND_UNSPECIFIED:
		problems = append(problems, errors.New("its kind is not send, receive or feed"))
	}
	return errors.Join(problems...)
}
