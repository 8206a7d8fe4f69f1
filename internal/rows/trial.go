package rows

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Trial is a statement that a database parses, and does not run, to tell whether it takes what is declared.
type Trial struct {
	// What is declared, such as `query "by-owner"`.
	What string
	// Part says what of it is tried beside the declaration's own SQL; empty for that.
	Part string
	SQL  string
	// Before and Behind stand around the SQL of a declaration that is not a whole statement.
	Before, Behind string
	// Types are the object ids of the parameters' types.
	Types []uint32
}

// Statement is what the database parses.
func (t Trial) Statement() string { return t.Before + t.SQL + t.Behind }

// Trials try all that is declared, by name: tables, queries, queries of states.
func (s *Schema) Trials() []Trial {
	var out []Trial
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		out = append(out, s.tables[name].trial())
	}
	for _, name := range slices.Sorted(maps.Keys(s.queries)) {
		out = append(out, s.queries[name].trials()...)
	}
	for _, name := range slices.Sorted(maps.Keys(s.stateQueries)) {
		out = append(out, s.stateQueries[name].trial())
	}
	return out
}

func (t *Table) trial() Trial {
	return Trial{What: `table "` + t.name + `"`, SQL: "SELECT " + t.columnNames("") + " FROM " + quote(t.name)}
}

// trial tries the condition on the table that has the states.
func (q *StateQuery) trial() Trial {
	return Trial{What: `query "` + q.Name() + `"`, SQL: q.query.sql, Before: "SELECT FROM fl_state AS visible_states WHERE (\n", Behind: "\n)", Types: q.Types()}
}

// trials try the statement as it is declared, and as it is run for the first page of its result.
func (q *Query) trials() []Trial {
	what := `query "` + q.name + `"`
	types := q.types()
	out := []Trial{{What: what, SQL: q.sql, Types: types}}
	if q.writes {
		return out
	}
	page := Trial{What: what, Part: "its result cannot be cut into pages", Types: append(slices.Clone(types), oidInt8, oidInt8)}
	page.SQL = q.paged("", len(types))
	if len(q.orderBy) > 0 {
		page.Part += " by order_by (" + strings.Join(q.orderBy, ", ") + ")"
	}
	return append(out, page)
}

// types are the object ids of the types of $1, $2, …
func (q *Query) types() []uint32 {
	var out []uint32
	for _, i := range q.used {
		out = append(out, q.params[i].kind.oid())
	}
	return out
}

// paged is the statement for one page: rows that fulfil a condition, in order, with the arguments after the first n for
// limit and offset.
func (q *Query) paged(where string, n int) string {
	var b strings.Builder
	b.WriteString("SELECT * FROM (\n" + q.sql + "\n) AS q" + where)
	if len(q.orderBy) > 0 {
		b.WriteString(" ORDER BY " + joined(q.orderBy, "q."))
	}
	b.WriteString(" LIMIT $" + strconv.Itoa(n+1) + " OFFSET $" + strconv.Itoa(n+2))
	return b.String()
}
