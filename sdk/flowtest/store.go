package flowtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// Table is a declared table of the application.
type Table struct {
	Name    string   `json:"name"`
	Columns []Column `json:"columns"`
	// PrimaryKey are names of columns, in order.
	PrimaryKey []string `json:"primaryKey"`
}

// Column is a column of a table.
type Column struct {
	Name string `json:"name"`
	// Type is text, boolean, integer, bigint, numeric, double, timestamp, date, uuid, json or bytes.
	Type    string `json:"type"`
	NotNull bool   `json:"notNull"`
}

// row is a row of a table: the values of its columns, in the order of the declaration.
type row []value

// declarations is what is read of an application's file.
const declarations = "application.json"

// application is what is in that file.
type application struct {
	Tables   []Table
	Channels []struct{ Name, Kind string }
}

// readDeclarations reads the file of the application in a folder.
func readDeclarations(dir string) (a application, err error) {
	name := filepath.Join(dir, declarations)
	b, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return a, fmt.Errorf("%s is not there, from which tests know the application's tables and channels: run `fairlead app build` in its folder, which writes it from fairlead.yaml", name)
	case err != nil:
		return a, fmt.Errorf("the application's declarations: %w", err)
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("%s is damaged (%w): run `fairlead app build` in its folder, which writes it anew", name, err)
	}
	return a, nil
}

func (n *Network) declare(dir string) {
	n.t.Helper()
	file, err := readDeclarations(dir)
	if err != nil {
		n.t.Fatalf("flowtest: %v", err)
	}
	for _, t := range file.Tables {
		n.addTable(t)
	}
	for _, c := range file.Channels {
		if strings.HasSuffix(strings.ToUpper(c.Kind), "SEND") {
			n.channels[c.Name] = true
		}
	}
}

func (n *Network) addTable(t Table) {
	n.t.Helper()
	switch {
	case t.Name == "" || len(t.Columns) == 0 || len(t.PrimaryKey) == 0:
		n.t.Fatalf("flowtest: table %q needs a name, columns and a primary key", t.Name)
	case n.tables[t.Name] != nil:
		n.t.Fatalf("flowtest: table %q is declared twice", t.Name)
	}
	for i, c := range t.Columns {
		if !slices.Contains(types, c.Type) {
			n.t.Fatalf("flowtest: table %q: column %q has the type %q; use one of %s", t.Name, c.Name, c.Type, strings.Join(types, ", "))
		}
		t.Columns[i].NotNull = c.NotNull || slices.Contains(t.PrimaryKey, c.Name)
	}
	for _, name := range t.PrimaryKey {
		if t.column(name) < 0 {
			n.t.Fatalf("flowtest: table %q: the primary key names %q, which is no column", t.Name, name)
		}
	}
	n.tables[t.Name] = &t
}

func (t *Table) column(name string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
}

// compare orders rows by primary key.
func (t *Table) compare(a, b row) int {
	for _, name := range t.PrimaryKey {
		i := t.column(name)
		if c := a[i].compare(b[i]); c != 0 {
			return c
		}
	}
	return 0
}

// parse reads a row. Given tells which columns it has. With key set, only the primary key is read.
func (t *Table) parse(raw []byte, at int, key bool) (r row, given []bool, err error) {
	wrong := func(format string, args ...any) error {
		return flow.Errorf(flow.ErrInvalidRow.Type, "table %s, row %d: %s", t.Name, at+1, fmt.Sprintf(format, args...))
	}
	members, err := object(raw)
	if err != nil {
		return nil, nil, wrong("it %s", err)
	}
	r, given = make(row, len(t.Columns)), make([]bool, len(t.Columns))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if t.column(name) < 0 && !key {
			return nil, nil, wrong("column %q is not declared", name)
		}
	}
	for i, c := range t.Columns {
		inKey := slices.Contains(t.PrimaryKey, c.Name)
		v, ok := members[c.Name]
		switch {
		case key && !inKey:
			continue
		case inKey && (!ok || string(v) == "null"):
			return nil, nil, wrong("column %s of the primary key is not given", c.Name)
		case !ok:
			continue
		}
		given[i] = true
		var why string
		if r[i], why = parseValue(c.Type, v); why != "" {
			return nil, nil, wrong("column %s %s", c.Name, why)
		}
	}
	return r, given, nil
}

// object reads a JSON object; a name that comes twice is an error.
func object(raw []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("is not a JSON object")
	}
	out := map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, errors.New("is not JSON")
		}
		key, _ := name.(string)
		if _, twice := out[key]; twice {
			return nil, fmt.Errorf("has the member %q twice", key)
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, errors.New("is not JSON")
		}
		out[key] = v
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("is not JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("has something after the JSON object")
	}
	return out, nil
}

// notNull says which column must not be null but is.
func (t *Table) notNull(r row, at int) error {
	for i, c := range t.Columns {
		if c.NotNull && r[i].null() {
			return flow.Errorf(flow.ErrConstraint.Type, "table %s, row %d: column %s must not be null", t.Name, at+1, c.Name)
		}
	}
	return nil
}

// json writes a row.
func (t *Table) json(r row) []byte {
	members := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		members[i] = strconv.Quote(c.Name) + ":" + r[i].json()
	}
	return []byte("{" + strings.Join(members, ",") + "}")
}

func (m *Member) answerStore(o wire.Operation) wire.Answer {
	a, err := m.store(o)
	var e *flow.Error
	if errors.As(err, &e) {
		return fault(e.Type, e.Message)
	}
	if err != nil {
		return fault("query-failed", err.Error())
	}
	return a
}

func (m *Member) store(o wire.Operation) (wire.Answer, error) {
	switch o := o.(type) {
	case *wire.PersistRows:
		return m.persist(o)
	case *wire.MergeRows:
		return m.change(o.Table, func(t *Table, rows []row) ([]row, wire.Message, error) { return t.merge(rows, o.Rows) })
	case *wire.RemoveRows:
		return m.change(o.Table, func(t *Table, rows []row) ([]row, wire.Message, error) {
			for at, raw := range o.Keys {
				key, _, err := t.parse(raw, at, true)
				if err != nil {
					return nil, nil, err
				}
				if i, ok := slices.BinarySearchFunc(rows, key, t.compare); ok {
					rows = slices.Delete(rows, i, i+1)
				}
			}
			return rows, nil, nil
		})
	case *wire.FindRows:
		return m.change(o.Table, func(t *Table, rows []row) ([]row, wire.Message, error) {
			found := &wire.Rows{}
			for at, raw := range o.Keys {
				key, _, err := t.parse(raw, at, true)
				if err != nil {
					return nil, nil, err
				}
				i, ok := slices.BinarySearchFunc(rows, key, t.compare)
				if ok {
					found.Rows = append(found.Rows, t.json(rows[i]))
				} else {
					found.Rows = append(found.Rows, nil)
				}
			}
			return rows, found, nil
		})
	case *wire.FindAllRows:
		return m.change(o.Table, func(t *Table, rows []row) ([]row, wire.Message, error) {
			p, err := t.page(rows, o)
			return rows, p, err
		})
	case *wire.NamedQuery:
		return m.query(o)
	}
	return wire.Answer{}, fmt.Errorf("the test network does not know the operation %s", o.Name())
}

// change runs f on a copy of a table's rows, and keeps the copy unless it fails.
func (m *Member) change(table string, f func(*Table, []row) ([]row, wire.Message, error)) (wire.Answer, error) {
	t := m.net.tables[table]
	if t == nil {
		return wire.Answer{}, flow.Errorf(flow.ErrNotDeclared.Type, "table %q is not declared; the network has %q", table, slices.Sorted(maps.Keys(m.net.tables)))
	}
	rows, result, err := f(t, slices.Clone(m.rows[table]))
	if err != nil {
		return wire.Answer{}, err
	}
	m.rows[table] = rows
	if result == nil {
		return wire.Result(nil), nil
	}
	return wire.Result(result), nil
}

func (m *Member) persist(o *wire.PersistRows) (wire.Answer, error) {
	if a, ok := m.once[o.DedupID]; ok && o.DedupID != "" {
		return a, nil
	}
	a, err := m.change(o.Table, func(t *Table, rows []row) ([]row, wire.Message, error) {
		for at, raw := range o.Rows {
			r, _, err := t.parse(raw, at, false)
			if err != nil {
				return nil, nil, err
			}
			if err := t.notNull(r, at); err != nil {
				return nil, nil, err
			}
			i, exists := slices.BinarySearchFunc(rows, r, t.compare)
			if exists {
				return nil, nil, flow.Errorf(flow.ErrExists.Type, "table %s, row %d: a row with its primary key exists", t.Name, at+1)
			}
			rows = slices.Insert(rows, i, r)
		}
		return rows, nil, nil
	})
	if err == nil && o.DedupID != "" {
		m.once[o.DedupID] = a
	}
	return a, err
}

func (t *Table) merge(rows []row, raws [][]byte) ([]row, wire.Message, error) {
	result := &wire.Rows{}
	for at, raw := range raws {
		r, given, err := t.parse(raw, at, false)
		if err != nil {
			return nil, nil, err
		}
		i, exists := slices.BinarySearchFunc(rows, r, t.compare)
		if exists {
			for c := range r {
				if !given[c] {
					r[c] = rows[i][c]
				}
			}
			rows[i] = r
		} else {
			rows = slices.Insert(rows, i, r)
		}
		if err := t.notNull(r, at); err != nil {
			return nil, nil, err
		}
		result.Rows = append(result.Rows, t.json(r))
	}
	return rows, result, nil
}

// maxPage is how many rows a page has when nothing is said, and at most.
const maxPage = 1000

func limit(n uint32) int {
	if n == 0 || n > maxPage {
		return maxPage
	}
	return int(n)
}

func (t *Table) page(rows []row, o *wire.FindAllRows) (*wire.Page, error) {
	first := 0
	if len(o.After) > 0 {
		key, _, err := t.parse(o.After, 0, true)
		if err != nil {
			return nil, flow.Errorf("invalid-page", "after is not what a page of table %s returned", t.Name)
		}
		i, there := slices.BinarySearchFunc(rows, key, t.compare)
		if first = i; there {
			first++
		}
	}
	end := min(len(rows), first+limit(o.Limit))
	p := &wire.Page{}
	for _, r := range rows[first:end] {
		p.Rows = append(p.Rows, t.json(r))
	}
	if end < len(rows) {
		p.Next = p.Rows[len(p.Rows)-1]
	}
	return p, nil
}

func (m *Member) query(o *wire.NamedQuery) (wire.Answer, error) {
	q := m.net.settings.queries[o.Query]
	if q == nil {
		return wire.Answer{}, flow.Errorf(flow.ErrNotDeclared.Type, "query %q has no answer; give the network a flowtest.Query", o.Query)
	}
	parameters := o.Parameters
	if len(parameters) == 0 {
		parameters = []byte("{}")
	}
	rows, err := q(m, parameters)
	if err != nil {
		return wire.Answer{}, err
	}
	first := int(min(o.Offset, uint64(len(rows))))
	if len(o.After) > 0 {
		n, err := strconv.Atoi(string(o.After))
		if err != nil || n < 0 {
			return wire.Answer{}, flow.Errorf("invalid-page", "after is not what a page of query %s returned", o.Query)
		}
		first = min(n, len(rows))
	}
	end := min(len(rows), first+limit(o.Limit))
	p := &wire.Page{Rows: rows[first:end]}
	if end < len(rows) {
		p.Next = []byte(strconv.Itoa(end))
	}
	return wire.Result(p), nil
}

// Insert puts rows into a table of the member before a test, and fails the test when it cannot. A row is a struct or map
// that is encoded as JSON.
func (m *Member) Insert(table string, rows ...any) {
	m.net.t.Helper()
	o := &wire.PersistRows{Table: table}
	for _, r := range rows {
		b, err := json.Marshal(r)
		if err != nil {
			m.net.t.Fatalf("flowtest: a row of table %s: %v", table, err)
		}
		o.Rows = append(o.Rows, b)
	}
	if _, err := m.persist(o); err != nil {
		m.net.t.Fatalf("flowtest: insert into table %s of %s: %v", table, m.Name(), err)
	}
}

// Rows are the rows of a member's table, in the order of the primary key.
func Rows[Row any](m *Member, table string) []Row {
	m.net.t.Helper()
	t := m.net.tables[table]
	if t == nil {
		m.net.t.Fatalf("flowtest: table %q is not declared", table)
	}
	var out []Row
	for _, r := range m.rows[table] {
		var v Row
		if err := json.Unmarshal(t.json(r), &v); err != nil {
			m.net.t.Fatalf("flowtest: a row of table %s of %s: %v", table, m.Name(), err)
		}
		out = append(out, v)
	}
	return out
}
