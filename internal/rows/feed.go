package rows

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Names of the triggers with which the changes of a table are captured; the function is the platform's.
const (
	triggerInsert = Reserved + "feed_insert"
	triggerUpdate = Reserved + "feed_update"
	triggerDelete = Reserved + "feed_delete"
)

// Shape says what the texts of a captured change are.
type Shape struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
	Types   []uint32 `json:"types"`
	// Key are the primary key's columns, as places in Columns.
	Key []int `json:"key"`
}

// ParseShape reads the shape that a captured change has with it.
func ParseShape(text string) (Shape, error) {
	var s Shape
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("shape of a captured change: %w", err)
	}
	if len(s.Types) != len(s.Columns) || slices.ContainsFunc(s.Key, func(i int) bool { return i < 0 || i >= len(s.Columns) }) {
		return s, fmt.Errorf("shape of a captured change of table %s does not fit together", s.Table)
	}
	return s, nil
}

// KeyObject makes the JSON object of a primary key.
func (s Shape) KeyObject(values [][]byte) ([]byte, error) {
	fields := make([]Field, len(s.Key))
	for n, i := range s.Key {
		fields[n] = Field{s.Columns[i], s.Types[i]}
	}
	return s.object(fields, values)
}

// RowObject makes the JSON object of a row.
func (s Shape) RowObject(values [][]byte) ([]byte, error) {
	fields := make([]Field, len(s.Columns))
	for i := range s.Columns {
		fields[i] = Field{s.Columns[i], s.Types[i]}
	}
	return s.object(fields, values)
}

func (s Shape) object(fields []Field, values [][]byte) ([]byte, error) {
	if len(fields) != len(values) {
		return nil, fmt.Errorf("captured change of table %s has %d values for %d columns", s.Table, len(values), len(fields))
	}
	return Object(fields, values)
}

// Triggers returns the statements that make the change feed capture what the declarations ask for, and nothing else.
// The owner of the tables runs them after the application's migrations, with the schema as search path; running them
// again changes nothing.
func (s *Schema) Triggers() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		t := s.tables[name]
		for _, trigger := range []struct{ name, event, tables string }{
			{triggerInsert, "INSERT", "NEW TABLE AS fl_new"},
			{triggerUpdate, "UPDATE", "OLD TABLE AS fl_old NEW TABLE AS fl_new"},
			{triggerDelete, "DELETE", "OLD TABLE AS fl_old"},
		} {
			if !t.feed {
				out = append(out, "DROP TRIGGER IF EXISTS "+trigger.name+" ON "+quote(t.name))
				continue
			}
			out = append(out, "CREATE OR REPLACE TRIGGER "+trigger.name+" AFTER "+trigger.event+" ON "+quote(t.name)+
				" REFERENCING "+trigger.tables+" FOR EACH STATEMENT EXECUTE FUNCTION fl_capture("+t.captureArgs()+")")
		}
	}
	return out
}

// captureArgs are the arguments of a table's triggers: names of declared columns and nothing else.
func (t *Table) captureArgs() string {
	shape := Shape{Table: t.name, Key: t.key}
	var key, columns []string
	for _, c := range t.columns {
		shape.Columns = append(shape.Columns, c.name)
		shape.Types = append(shape.Types, c.kind.oid())
		columns = append(columns, quote(c.name)+"::text")
	}
	for _, i := range t.key {
		key = append(key, columns[i])
	}
	text, err := json.Marshal(shape)
	if err != nil { // strings and numbers can always be encoded
		text = nil
	}
	args := []string{string(text), strings.Join(key, ", "), strings.Join(columns, ", ")}
	for i, a := range args {
		args[i] = "'" + strings.ReplaceAll(a, "'", "''") + "'"
	}
	return strings.Join(args, ", ")
}
