package rows

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxBytes bounds the rows of a request and of its result.
const MaxBytes = 512 << 10

// maxArgs bounds the arguments of a statement; Postgres allows 65,535.
const maxArgs = 30_000

// Statement is one statement of SQL with its arguments.
type Statement struct {
	SQL  string
	Args []Arg
}

// Arg is an argument in Postgres's text form.
type Arg struct {
	// OID is its type; zero lets the database tell.
	OID uint32
	// Text is nil for NULL.
	Text []byte
}

func number(n uint64) Arg {
	return Arg{oidInt8, strconv.AppendUint(nil, min(n, 1<<62), 10)}
}

// value reads a JSON value for the column; the words continue "column x …".
func (c column) value(raw json.RawMessage) (Arg, string) {
	if string(raw) == "null" {
		if c.notNull {
			return Arg{}, "is null, which it must not be; give a value"
		}
		return Arg{OID: c.kind.oid()}, ""
	}
	text, wrong := c.kind.encode(raw)
	return Arg{c.kind.oid(), []byte(text)}, wrong
}

// maxCells bounds the rows of a request times the columns of their table: a row costs what its table has, however little
// of it is given.
const maxCells = 200_000

// row is a row as a request gives it: the columns that are given, in the order of their declaration, and an argument for
// each.
type row struct {
	given []int
	args  []Arg
}

// at returns the argument of a column, and whether it is given.
func (r row) at(column int) (Arg, bool) {
	n, ok := slices.BinarySearch(r.given, column)
	if !ok {
		return Arg{}, false
	}
	return r.args[n], true
}

func (r row) gives(column int) bool {
	_, ok := r.at(column)
	return ok
}

// sameColumns tells whether two rows give the same columns.
func (r row) sameColumns(o row) bool { return slices.Equal(r.given, o.given) }

// Check looks at the rows of a request as [Table.Persist] does, or, when not all of them must be there, as [Table.Merge].
func (t *Table) Check(raw [][]byte, all bool) error {
	return t.each(raw, all, func(row) {})
}

// CheckKeys looks at the keys of a request as [Table.Find] and [Table.Remove] do.
func (t *Table) CheckKeys(raw [][]byte) error {
	return t.eachKey(raw, func([]Arg) {})
}

// parse reads the rows of a request.
func (t *Table) parse(raw [][]byte, all bool) ([]row, error) {
	out := make([]row, 0, min(len(raw), maxCells))
	err := t.each(raw, all, func(r row) { out = append(out, r) })
	return out, err
}

// each reads the rows of a request one by one.
func (t *Table) each(raw [][]byte, all bool, f func(row)) error {
	if err := t.checkSize("rows", raw); err != nil {
		return err
	}
	if len(raw)*len(t.columns) > maxCells {
		return tooLarge("table %s: %d rows of %d declared columns are %d values, given or not; at most %d are allowed: send fewer rows at once",
			t.name, len(raw), len(t.columns), len(raw)*len(t.columns), maxCells)
	}
	for n, b := range raw {
		r, err := t.parseRow(n+1, b)
		if err != nil {
			return err
		}
		for i, c := range t.columns {
			if c.notNull && (all || slices.Contains(t.key, i)) && !r.gives(i) {
				return wrongRow("table %s, row %d: column %q is not given, and it must not be null; give a value", t.name, n+1, c.name)
			}
		}
		f(r)
	}
	return nil
}

func (t *Table) parseRow(n int, b []byte) (row, error) {
	members, err := parseObject(b)
	if err != nil {
		return row{}, wrongRow("table %s, row %d %v", t.name, n, err)
	}
	for _, m := range members {
		if _, ok := t.byName[m.name]; !ok {
			return row{}, wrongRow("table %s, row %d: column %q is not declared; the table has %s", t.name, n, m.name, columnNames(t.columns))
		}
	}
	slices.SortFunc(members, func(a, b member) int { return t.byName[a.name] - t.byName[b.name] })
	r := row{make([]int, len(members)), make([]Arg, len(members))}
	for i, m := range members {
		c := t.byName[m.name]
		v, wrong := t.columns[c].value(m.value)
		if wrong != "" {
			return row{}, wrongRow("table %s, row %d: column %q %s", t.name, n, m.name, wrong)
		}
		r.given[i], r.args[i] = c, v
	}
	return r, nil
}

// parseKeys reads rows of which only the primary key counts.
func (t *Table) parseKeys(raw [][]byte) ([][]Arg, error) {
	out := make([][]Arg, 0, len(raw))
	err := t.eachKey(raw, func(key []Arg) { out = append(out, key) })
	return out, err
}

// eachKey reads the keys of a request one by one.
func (t *Table) eachKey(raw [][]byte, f func([]Arg)) error {
	if err := t.checkSize("keys", raw); err != nil {
		return err
	}
	for n, b := range raw {
		members, err := parseObject(b)
		if err != nil {
			return wrongRow("table %s, key %d %v", t.name, n+1, err)
		}
		key := make([]Arg, 0, len(t.key))
		for _, i := range t.key {
			c := t.columns[i]
			at := slices.IndexFunc(members, func(m member) bool { return m.name == c.name })
			if at < 0 {
				return wrongRow("table %s, key %d: column %q of the primary key is not given; give a value", t.name, n+1, c.name)
			}
			v, wrong := c.value(members[at].value)
			if wrong != "" {
				return wrongRow("table %s, key %d: column %q %s", t.name, n+1, c.name, wrong)
			}
			key = append(key, v)
		}
		f(key)
	}
	return nil
}

func (t *Table) checkSize(what string, raw [][]byte) error {
	total := 0
	for _, b := range raw {
		total += len(b)
	}
	if total > MaxBytes {
		return tooLarge("table %s: the %s have %d bytes; at most %d are allowed: send fewer at once", t.name, what, total, MaxBytes)
	}
	return nil
}

// Persist makes the statements that insert rows. Each returns the primary keys of the rows that it inserted, in order;
// [Inserts.Check] finds those that were there already.
func (t *Table) Persist(raw [][]byte) ([]Statement, *Inserts, error) {
	rows, err := t.parse(raw, true)
	if err != nil {
		return nil, nil, err
	}
	var out []Statement
	for chunk := range slices.Chunk(rows, max(1, maxArgs/len(t.columns))) {
		b := t.insert(chunk)
		b.text(" ON CONFLICT (" + t.keyNames("") + ") DO NOTHING RETURNING " + t.keyNames(""))
		out = append(out, b.statement())
	}
	return out, &Inserts{table: t, rows: rows}, nil
}

// Merge makes the statements that insert rows or change them. Each returns the rows as they are then, in order.
func (t *Table) Merge(raw [][]byte) ([]Statement, error) {
	rows, err := t.parse(raw, false)
	if err != nil {
		return nil, err
	}
	var out []Statement
	for from := 0; from < len(rows); {
		if !t.complete(rows[from]) {
			out = append(out, t.changeOrInsert(rows[from]))
			from++
			continue
		}
		to, keys := from, map[string]bool{}
		for to < len(rows) && rows[to].sameColumns(rows[from]) && (to-from)*len(t.columns) < maxArgs {
			k := t.canonicalKey(rows[to])
			if keys[k] {
				break // one statement must not change a row twice
			}
			keys[k] = true
			to++
		}
		out = append(out, t.upsert(rows[from:to]))
		from = to
	}
	return out, nil
}

// complete tells whether a row could be inserted as it is.
func (t *Table) complete(r row) bool {
	for i, c := range t.columns {
		if c.notNull && !r.gives(i) {
			return false
		}
	}
	return true
}

func (t *Table) upsert(rows []row) Statement {
	b := t.insert(rows)
	b.text(" ON CONFLICT (" + t.keyNames("") + ") DO UPDATE SET ")
	first := true
	set := func(name string) {
		if !first {
			b.text(", ")
		}
		first = false
		b.text(quote(name) + " = EXCLUDED." + quote(name))
	}
	for i, c := range t.columns {
		if rows[0].gives(i) && !slices.Contains(t.key, i) {
			set(c.name)
		}
	}
	if first { // nothing but the key: the row is to be returned all the same
		set(t.columns[t.key[0]].name)
	}
	b.text(" RETURNING " + t.columnNames(""))
	return b.statement()
}

// changeOrInsert is for a row that lacks what an insert needs: it can only change one that is there, and the insert
// tells what is missing when it is not.
func (t *Table) changeOrInsert(r row) Statement {
	b := &builder{}
	b.text("WITH changed AS (UPDATE " + quote(t.name) + " SET ")
	first := true
	for n, i := range r.given {
		c := t.columns[i]
		if slices.Contains(t.key, i) {
			continue
		}
		if !first {
			b.text(", ")
		}
		first = false
		b.text(quote(c.name) + " = ")
		b.arg(r.args[n])
	}
	keyArg := func(column int) {
		a, _ := r.at(column) // a key is always given
		b.arg(a)
	}
	if first {
		k := t.key[0]
		b.text(quote(t.columns[k].name) + " = ")
		keyArg(k)
	}
	b.text(" WHERE ")
	for n, k := range t.key {
		if n > 0 {
			b.text(" AND ")
		}
		b.text(quote(t.columns[k].name) + " = ")
		keyArg(k)
	}
	b.text(" RETURNING " + t.columnNames("") + "), added AS (INSERT INTO " + quote(t.name) + " (")
	for n, i := range r.given {
		if n > 0 {
			b.text(", ")
		}
		b.text(quote(t.columns[i].name))
	}
	b.text(") SELECT ")
	for n, v := range r.args {
		if n > 0 {
			b.text(", ")
		}
		b.arg(v)
	}
	b.text(" WHERE NOT EXISTS (SELECT FROM changed) RETURNING " + t.columnNames("") + ") SELECT * FROM changed UNION ALL SELECT * FROM added")
	return b.statement()
}

// Remove makes the statements that delete rows.
func (t *Table) Remove(raw [][]byte) ([]Statement, error) {
	keys, err := t.parseKeys(raw)
	if err != nil {
		return nil, err
	}
	var out []Statement
	for chunk := range slices.Chunk(keys, max(1, maxArgs/len(t.key))) {
		b := &builder{}
		b.text("DELETE FROM " + quote(t.name) + " AS t USING ")
		t.keyValues(b, chunk)
		out = append(out, b.statement())
	}
	return out, nil
}

// Find makes the statement that reads rows by primary key, and what takes its result.
func (t *Table) Find(raw [][]byte) ([]Statement, *Found, error) {
	keys, err := t.parseKeys(raw)
	if err != nil {
		return nil, nil, err
	}
	var out []Statement
	at := 0
	for chunk := range slices.Chunk(keys, max(1, maxArgs/len(t.key))) {
		b := &builder{first: at}
		b.text("SELECT v.n, " + t.columnNames("t.") + " FROM " + quote(t.name) + " AS t JOIN ")
		t.keyValues(b, chunk)
		b.sql.WriteString(" ORDER BY v.n")
		out = append(out, b.statement())
		at += len(chunk)
	}
	return out, &Found{table: t, rows: make([][]byte, len(keys))}, nil
}

// keyValues adds the keys as a table v of their number and columns, and the condition that joins it with t.
func (t *Table) keyValues(b *builder, keys [][]Arg) {
	join := " ON "
	if strings.Contains(b.sql.String(), " USING ") {
		join = " WHERE "
	}
	b.text("(VALUES ")
	for n, key := range keys {
		if n > 0 {
			b.text(", ")
		}
		b.text("(" + strconv.Itoa(b.first+n))
		for _, v := range key {
			b.text(", ")
			b.arg(v)
		}
		b.text(")")
	}
	b.text(") AS v(n")
	for n := range t.key {
		fmt.Fprintf(&b.sql, ", k%d", n)
	}
	b.text(")" + join)
	for n, i := range t.key {
		if n > 0 {
			b.text(" AND ")
		}
		fmt.Fprintf(&b.sql, "t.%s = v.k%d", quote(t.columns[i].name), n)
	}
}

// FindAll makes the statement that reads a page in the order of the primary key, and what takes its result.
func (t *Table) FindAll(limit uint32, after []byte) (Statement, *Page, error) {
	at, err := readPlace("table "+t.name, after)
	if err != nil {
		return Statement{}, nil, err
	}
	p := &Page{what: "table " + t.name, limit: rowLimit(limit), unique: true}
	b := &builder{}
	b.text("SELECT " + t.columnNames("") + " FROM " + quote(t.name))
	if len(after) > 0 {
		if len(at.Key) != len(t.key) || slices.Contains(at.Key, nil) {
			return Statement{}, nil, wrongPlace("table " + t.name)
		}
		b.text(" WHERE (" + t.keyNames("") + ") > (")
		for n, i := range t.key {
			if n > 0 {
				b.text(", ")
			}
			b.arg(Arg{t.columns[i].kind.oid(), []byte(*at.Key[n])})
		}
		b.text(")")
	}
	b.text(" ORDER BY " + t.keyNames("") + " LIMIT ")
	b.arg(number(uint64(p.limit) + 1))
	for _, i := range t.key {
		p.orderBy = append(p.orderBy, t.columns[i].name)
	}
	return b.statement(), p, nil
}

// insert begins an INSERT of some rows: the columns that any of them gives, the default where one does not.
func (t *Table) insert(rows []row) *builder {
	used := make([]bool, len(t.columns))
	for _, r := range rows {
		for _, i := range r.given {
			used[i] = true
		}
	}
	var use []int
	for i, is := range used {
		if is {
			use = append(use, i)
		}
	}
	b := &builder{}
	b.text("INSERT INTO " + quote(t.name) + " (")
	for n, i := range use {
		if n > 0 {
			b.text(", ")
		}
		b.text(quote(t.columns[i].name))
	}
	b.text(") VALUES ")
	for n, r := range rows {
		if n > 0 {
			b.text(", ")
		}
		b.text("(")
		for m, i := range use {
			if m > 0 {
				b.text(", ")
			}
			if a, ok := r.at(i); ok {
				b.arg(a)
			} else {
				b.text("DEFAULT")
			}
		}
		b.text(")")
	}
	return b
}

func (t *Table) columnNames(prefix string) string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return joined(names, prefix)
}

func (t *Table) keyNames(prefix string) string {
	names := make([]string, len(t.key))
	for n, i := range t.key {
		names[n] = t.columns[i].name
	}
	return joined(names, prefix)
}

func joined(names []string, prefix string) string {
	var b strings.Builder
	for i, n := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(prefix + quote(n))
	}
	return b.String()
}

// columnNames is for messages.
func columnNames(columns []column) string {
	if len(columns) == 0 {
		return "none"
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	if len(names) > 20 {
		names = append(names[:20], "…")
	}
	return strings.Join(names, ", ")
}

// builder writes a statement and collects its arguments.
type builder struct {
	sql   strings.Builder
	args  []Arg
	first int
}

func (b *builder) text(s string) { b.sql.WriteString(s) }

func (b *builder) arg(a Arg) {
	b.args = append(b.args, a)
	b.sql.WriteString("$" + strconv.Itoa(len(b.args)))
}

func (b *builder) statement() Statement { return Statement{b.sql.String(), b.args} }
