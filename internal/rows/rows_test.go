package rows_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/encoding/protojson"
	"pgregory.net/rapid"

	"github.com/fairleadio/fairlead/internal/rows"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// The scripts in testdata declare tables and queries as JSON of a Cpk, and show the statements that requests become.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var schema *rows.Schema
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "declare" {
				cpk := &cpiv1.Cpk{}
				if err := protojson.Unmarshal([]byte(d.Input), cpk); err != nil {
					t.Fatal(err)
				}
				s, err := rows.Compile(cpk.GetTables(), cpk.GetQueries())
				if err != nil {
					return err.Error()
				}
				schema = s
				return "ok"
			}
			out, err := run(schema, d)
			var p *rows.Problem
			if err != nil && !errors.As(err, &p) {
				t.Fatalf("%v is no problem of the application", err)
			}
			if err != nil {
				return p.Type + ": " + p.Error()
			}
			return out
		})
	})
}

func run(s *rows.Schema, d *datadriven.TestData) (string, error) {
	if d.Cmd == "triggers" {
		return strings.Join(s.Triggers(), "\n"), nil
	}
	var name, after string
	limit := 0
	d.MaybeScanArgs(&testing.T{}, "limit", &limit)
	d.MaybeScanArgs(&testing.T{}, "after", &after)
	name = d.CmdArgs[0].Key
	var in [][]byte
	for line := range strings.SplitSeq(d.Input, "\n") {
		if line != "" {
			in = append(in, []byte(line))
		}
	}
	if d.Cmd == "query" {
		q, err := s.Query(name)
		if err != nil {
			return "", err
		}
		st, _, err := q.Run([]byte(d.Input), uint32(limit), []byte(after), 0)
		return show(st), err
	}
	if d.Cmd == "states" {
		q, err := s.StateQuery(name)
		if err != nil {
			return "", err
		}
		condition, args, err := q.Condition([]byte(d.Input))
		if err == nil && (q.Name() != name || len(q.Types()) != len(args)) {
			return "", fmt.Errorf("query %s has the types %v", q.Name(), q.Types())
		}
		if err == nil && !slices.ContainsFunc(s.Trials(), func(t rows.Trial) bool {
			return t.What == `query "`+name+`"` && t.Statement() == "SELECT FROM fl_state AS visible_states WHERE (\n"+condition+"\n)" && slices.Equal(t.Types, q.Types())
		}) {
			return "", fmt.Errorf("query %s is not tried: %v", name, s.Trials())
		}
		return show(rows.Statement{SQL: condition, Args: args}), err
	}
	t, err := s.Table(name)
	if err != nil {
		return "", err
	}
	switch d.Cmd {
	case "persist":
		st, _, err := t.Persist(in)
		return show(st...), err
	case "merge":
		st, err := t.Merge(in)
		return show(st...), err
	case "remove":
		st, err := t.Remove(in)
		return show(st...), err
	case "find":
		st, _, err := t.Find(in)
		return show(st...), err
	default:
		st, _, err := t.FindAll(uint32(limit), []byte(after))
		return show(st), err
	}
}

func show(statements ...rows.Statement) string {
	var b strings.Builder
	for _, s := range statements {
		b.WriteString(s.SQL + "\n")
		for i, a := range s.Args {
			v := "NULL"
			if a.Text != nil {
				v = string(a.Text)
			}
			fmt.Fprintf(&b, "  $%d %d %s\n", i+1, a.OID, v)
		}
	}
	return b.String()
}

func TestExplanations(t *testing.T) {
	for id, text := range rows.Explanations() {
		if !strings.HasPrefix(id, "FL-PERSISTENCE-") || len(text) < 80 {
			t.Errorf("%s: %q", id, text)
		}
	}
}

func bigTable(t testing.TB) *rows.Table {
	t.Helper()
	s, err := rows.Compile([]*cpiv1.TableDeclaration{{
		Name: "t", PrimaryKey: []string{"id"}, Columns: []*cpiv1.ColumnDeclaration{{Name: "id", Type: "bigint"}, {Name: "v", Type: "text"}},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	table, err := s.Table("t")
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// A request that is too large is refused; one that is only long becomes several statements.
func TestLimits(t *testing.T) {
	table := bigTable(t)
	var p *rows.Problem
	if _, _, err := table.Persist([][]byte{[]byte(`{"id":1,"v":"` + strings.Repeat("x", rows.MaxBytes) + `"}`)}); !errors.As(err, &p) || p.Type != rows.TypeTooLarge {
		t.Errorf("too many bytes: %v", err)
	}
	var in [][]byte
	for n := range 34_000 {
		in = append(in, fmt.Appendf(nil, `{"id":%d}`, n))
	}
	for what, f := range map[string]func() ([]rows.Statement, error){
		"persist": func() ([]rows.Statement, error) { s, _, err := table.Persist(in); return s, err },
		"remove":  func() ([]rows.Statement, error) { return table.Remove(in) },
		"find":    func() ([]rows.Statement, error) { s, _, err := table.Find(in); return s, err },
		"merge":   func() ([]rows.Statement, error) { return table.Merge(in) },
	} {
		statements, err := f()
		if err != nil || len(statements) < 2 {
			t.Errorf("%s: %d statements, %v", what, len(statements), err)
		}
		for _, s := range statements {
			if len(s.Args) > 65_535 {
				t.Errorf("%s: %d arguments", what, len(s.Args))
			}
		}
	}
}

// Whatever a condition is: it is refused, or what it closes it opened, so that it stays within the brackets in which it is
// run.
func FuzzStateQuery(f *testing.F) {
	for _, s := range []string{"a = 1", "a = 1) OR (b = 2", "a = ')' -- (", "a /* ( */ = 1", `"a)" = 1`, "$$)$$ = a", "a = 1 ORDER BY b", "E'\\') = a", "WHERE a", "a; b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		s, err := rows.Compile(nil, []*cpiv1.QueryDeclaration{{Name: "q", Sql: sql, States: true}})
		if err != nil {
			return
		}
		q, err := s.StateQuery("q")
		if err != nil {
			t.Fatal(err)
		}
		condition, _, err := q.Condition(nil)
		if err != nil {
			t.Fatal(err)
		}
		// What the scanner takes for one condition, in brackets, is still one with as many brackets around.
		if _, err := rows.Compile(nil, []*cpiv1.QueryDeclaration{{Name: "q", Sql: "SELECT (\n" + condition + "\n)"}}); err != nil {
			t.Fatalf("%q leaves its brackets: %v", sql, err)
		}
	})
}

// A row costs what its table has, so rows times columns are bounded, whatever little the rows say.
func TestCellsAreBounded(t *testing.T) {
	declared := &cpiv1.TableDeclaration{Name: "wide", PrimaryKey: []string{"k"}, Columns: []*cpiv1.ColumnDeclaration{{Name: "k", Type: "integer"}}}
	for n := range 499 {
		declared.Columns = append(declared.Columns, &cpiv1.ColumnDeclaration{Name: fmt.Sprint("c", n), Type: "numeric"})
	}
	s, err := rows.Compile([]*cpiv1.TableDeclaration{declared}, nil)
	if err != nil {
		t.Fatal(err)
	}
	table, err := s.Table("wide")
	if err != nil {
		t.Fatal(err)
	}
	many := slices.Repeat([][]byte{[]byte(`{"k":1}`)}, 58_254)
	var p *rows.Problem
	for what, f := range map[string]func([][]byte) error{
		"check":   func(in [][]byte) error { return table.Check(in, true) },
		"persist": func(in [][]byte) error { _, _, err := table.Persist(in); return err },
		"merge":   func(in [][]byte) error { _, err := table.Merge(in); return err },
	} {
		if err := f(many); !errors.As(err, &p) || p.Type != rows.TypeTooLarge || !strings.Contains(p.Message, "200000") {
			t.Errorf("%s: %v", what, err)
		}
		if err := f(many[:400]); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := table.CheckKeys(many); err != nil {
		t.Errorf("keys: %v", err)
	}
}

// Whatever a row holds: it is taken, or refused with a problem; never is its text in the SQL.
func FuzzRow(f *testing.F) {
	table := bigTable(f)
	for _, s := range []string{`{"id":1}`, `{"id":"1","v":null}`, `{"id":1,"id":2}`, `{"id":1e5}`, `[`, `{"id":1,"v":"\ud800"}`, `{"id":1} x`, "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, in := range [][][]byte{{b}, {b, []byte(`{"id":1,"v":"x"}`)}} {
			statements, err := table.Merge(in)
			var p *rows.Problem
			if err != nil && !errors.As(err, &p) {
				t.Fatalf("%v is no problem", err)
			}
			for _, s := range statements {
				if strings.ContainsFunc(s.SQL, func(r rune) bool { return r > 0x7e }) {
					t.Fatalf("values in %s", s.SQL)
				}
			}
		}
	})
}

// Whatever is given as after: it is a place of the table, or refused.
func FuzzPlace(f *testing.F) {
	table := bigTable(f)
	f.Add([]byte(`{"of":"table t","key":["1"]}`))
	f.Add([]byte(`{"of":"table t","count":7}`))
	f.Fuzz(func(t *testing.T, after []byte) {
		s, _, err := table.FindAll(10, after)
		if err == nil && len(after) > 0 && len(s.Args) != 2 {
			t.Fatalf("%d arguments: %s", len(s.Args), s.SQL)
		}
	})
}

// A page holds at most as many rows and bytes as it may, in order, and its next place is that of its last row.
func TestPageProperty(t *testing.T) {
	table := bigTable(t)
	fields := []rows.Field{{Name: "id", OID: 20}, {Name: "v", OID: 25}}
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.Uint32Range(1, 30).Draw(rt, "limit")
		sizes := rapid.SliceOfN(rapid.IntRange(0, 200_000), 0, 60).Draw(rt, "sizes")
		seen := 0
		var after []byte
		for turn := 0; ; turn++ {
			s, page, err := table.FindAll(limit, after)
			if err != nil {
				rt.Fatal(err)
			}
			from := 0
			if after != nil {
				if _, err := fmt.Sscan(string(s.Args[0].Text), &from); err != nil {
					rt.Fatal(err)
				}
				from++
			}
			for n := from; n < len(sizes) && n <= from+int(limit); n++ {
				full, err := page.Add(fields, [][]byte{fmt.Appendf(nil, "%d", n), []byte(strings.Repeat("x", sizes[n]))})
				if err != nil {
					rt.Fatal(err)
				}
				if full {
					break
				}
			}
			all, next := page.Rows()
			bytes := 0
			for _, r := range all {
				var row struct{ ID int }
				if err := json.Unmarshal(r, &row); err != nil || row.ID != seen {
					rt.Fatalf("row %d has id %d, %v", seen, row.ID, err)
				}
				seen++
				bytes += len(r)
			}
			if len(all) > int(limit) || bytes > rows.MaxBytes {
				rt.Fatalf("%d rows, %d bytes", len(all), bytes)
			}
			if next == nil {
				break
			}
			after = next
		}
		if seen != len(sizes) {
			rt.Fatalf("%d of %d rows", seen, len(sizes))
		}
	})
}

func TestTypesAreDocumented(t *testing.T) {
	if n := len(rows.Types()); n != 11 || !slices.Contains(rows.Types(), "timestamp") {
		t.Errorf("%d types", n)
	}
}
