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
	// Types are the object ids of the parameters' types.
	Types []uint32
}

// Trials try all that is declared, by name, tables before queries.
func (s *Schema) Trials() []Trial {
	var out []Trial
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		out = append(out, s.tables[name].trial())
	}
	for _, name := range slices.Sorted(maps.Keys(s.queries)) {
		out = append(out, s.queries[name].trials()...)
	}
	return out
}

func (t *Table) trial() Trial {
	return Trial{What: `table "` + t.name + `"`, SQL: "SELECT " + t.columnNames("") + " FROM " + quote(t.name)}
}

// trials try the statement as it is declared, and as it is run for the first page of its result.
func (q *Query) trials() []Trial {
	what := `query "` + q.name + `"`
	var types []uint32
	for _, i := range q.used {
		types = append(types, q.params[i].kind.oid())
	}
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
