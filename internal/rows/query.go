package rows

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// Query is a named query.
type Query struct {
	name    string
	sql     string // with $1, $2, … for the parameters
	params  []column
	used    []int // the parameter behind each $n
	writes  bool
	orderBy []string
}

// Name returns the query's name.
func (q *Query) Name() string { return q.name }

// Writes tells whether the query is declared as changing rows.
func (q *Query) Writes() bool { return q.writes }

// reads and changes are the words with which a query may begin.
var (
	reads   = []string{"select", "with", "values", "table"}
	changes = []string{"insert", "update", "delete", "merge"}
)

func compileQuery(d *cpiv1.QueryDeclaration) (*Query, []error) {
	q := &Query{name: d.GetName(), writes: d.GetWrites(), orderBy: d.GetOrderBy()}
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, wrongDeclaration("query %q: "+format, append([]any{d.GetName()}, args...)...))
	}
	byName, errs := q.declare(d)
	problems = append(problems, errs...)
	for i, o := range q.orderBy {
		if o == "" || len(o) > 63 || strings.ContainsRune(o, 0) {
			bad("order_by names %q, which no column can be called", o)
		}
		if slices.Contains(q.orderBy[:i], o) {
			bad("order_by names %q twice", o)
		}
	}
	if q.writes && len(q.orderBy) > 0 {
		bad("it writes, so its result is not cut into pages: take order_by away")
	}
	if len(d.GetSql()) > maxQueryText {
		bad("the statement has %d bytes; at most %d are allowed", len(d.GetSql()), maxQueryText)
		return q, problems
	}
	tokens, err := scan(d.GetSql())
	if err == nil {
		err = q.build(tokens, byName)
	}
	if err != nil {
		bad("the statement %v", err)
		return q, problems
	}
	return q, append(problems, q.unused()...)
}

// declare takes the parameters of a declaration, and returns their places by name and what is wrong with them.
func (q *Query) declare(d *cpiv1.QueryDeclaration) (map[string]int, []error) {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, wrongDeclaration("query %q: "+format, append([]any{d.GetName()}, args...)...))
	}
	if !queryName.MatchString(d.GetName()) {
		bad("the name must be 1 to 200 letters, digits, '_', '.' and '-'")
	}
	byName := map[string]int{}
	for i, p := range d.GetParameters() {
		k, ok := kindOf(p.GetType())
		if !ok {
			bad("parameter %q has the type %q; use one of %s", p.GetName(), p.GetType(), strings.Join(Types(), ", "))
		}
		if !isParameter(p.GetName()) {
			bad("parameter %q: the name must begin with a letter or _ and go on with letters, digits and _", p.GetName())
		}
		if _, twice := byName[p.GetName()]; twice {
			bad("parameter %q is declared twice", p.GetName())
		}
		byName[p.GetName()] = i
		q.params = append(q.params, column{p.GetName(), k, p.GetNotNull()})
	}
	return byName, problems
}

// unused tells of parameters that are declared and do not stand in the SQL.
func (q *Query) unused() (problems []error) {
	for i, p := range q.params {
		if !slices.Contains(q.used, i) {
			problems = append(problems, wrongDeclaration("query %q: parameter %q is declared and not used; write :%s, or take it away", q.name, p.name, p.name))
		}
	}
	return problems
}

func isParameter(name string) bool {
	if name == "" || len(name) > 63 || !isNameStart(name[0]) {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r > 0x7f || !isNameStart(byte(r)) && !isDigit(byte(r)) })
}

// build checks the tokens of a statement and puts $n in the place of its parameters. Its errors continue "the
// statement …".
func (q *Query) build(tokens []token, params map[string]int) error {
	for len(tokens) > 0 && (tokens[len(tokens)-1].kind == tokenSpace || tokens[len(tokens)-1].text == ";") {
		tokens = tokens[:len(tokens)-1]
	}
	if err := q.checkVerb(tokens); err != nil {
		return err
	}
	return q.number(tokens, params)
}

// number puts $n in the place of parameters.
func (q *Query) number(tokens []token, params map[string]int) error {
	number := map[string]int{}
	var out strings.Builder
	for _, t := range tokens {
		switch t.kind {
		case tokenParam:
			name := t.text[1:]
			i, ok := params[name]
			if !ok {
				return fmt.Errorf("uses :%s, which is not among its parameters; declare it", name)
			}
			if number[name] == 0 {
				q.used = append(q.used, i)
				number[name] = len(q.used)
			}
			// Spaces, for what stands before and behind must not become part of it.
			out.WriteString(" $" + strconv.Itoa(number[name]) + " ")
		case tokenOther:
			if t.text == ";" {
				return fmt.Errorf("is more than one; declare a query for each")
			}
			out.WriteString(t.text)
		case tokenWord, tokenName:
			if prefix, reserved := IsReserved(t.text); reserved {
				return fmt.Errorf("names %s; what begins with %s is fairlead's own", t.text, prefix)
			}
			out.WriteString(t.text)
		default:
			out.WriteString(t.text)
		}
	}
	q.sql = out.String()
	return nil
}

// checkVerb looks at the word with which a statement begins.
func (q *Query) checkVerb(tokens []token) error {
	allowed := reads
	if q.writes {
		allowed = append(slices.Clone(reads), changes...)
	}
	for _, t := range tokens {
		if t.kind == tokenSpace || t.kind == tokenOpen && t.text == "(" {
			continue
		}
		verb := strings.ToLower(t.text)
		if t.kind == tokenWord && slices.Contains(allowed, verb) {
			return nil
		}
		if slices.Contains(changes, verb) {
			return fmt.Errorf("changes rows; declare the query with \"writes\"")
		}
		return fmt.Errorf("begins with %q; a query begins with one of %s", t.text, strings.ToUpper(strings.Join(allowed, ", ")))
	}
	return fmt.Errorf("is empty")
}

// args reads the parameters of a request.
func (q *Query) args(parameters []byte) ([]Arg, error) {
	if len(parameters) == 0 {
		parameters = []byte("{}")
	}
	if len(parameters) > MaxBytes {
		return nil, tooLarge("query %s: the parameters have %d bytes; at most %d are allowed", q.name, len(parameters), MaxBytes)
	}
	members, err := parseObject(parameters)
	if err != nil {
		return nil, wrongRow("query %s: the parameters' text %v", q.name, err)
	}
	given := map[string]json.RawMessage{}
	for _, m := range members {
		if !slices.ContainsFunc(q.params, func(c column) bool { return c.name == m.name }) {
			return nil, wrongRow("query %s has no parameter %q; it has %s", q.name, m.name, columnNames(q.params))
		}
		given[m.name] = m.value
	}
	values := make([]Arg, len(q.params))
	for i, p := range q.params {
		raw, ok := given[p.name]
		if !ok {
			return nil, wrongRow("query %s: parameter %q is not given; give it, null where it has no value", q.name, p.name)
		}
		v, wrong := p.value(raw)
		if wrong != "" {
			return nil, wrongRow("query %s: parameter %q %s", q.name, p.name, wrong)
		}
		values[i] = v
	}
	out := make([]Arg, len(q.used))
	for n, i := range q.used {
		out[n] = values[i]
	}
	return out, nil
}

// Run makes the statement of a request and what takes its result. A query that writes is run as it is, and its rows
// come whole; another is run for one page.
func (q *Query) Run(parameters []byte, limit uint32, after []byte, offset uint64) (Statement, *Page, error) {
	args, err := q.args(parameters)
	if err != nil {
		return Statement{}, nil, err
	}
	if q.writes {
		if len(after) > 0 || offset > 0 {
			return Statement{}, nil, &Problem{IDPage, TypePage, fmt.Sprintf("query %s writes, so its result has no pages; give neither after nor offset", q.name)}
		}
		return Statement{q.sql, args}, &Page{what: "query " + q.name, whole: true}, nil
	}
	at, err := readPlace("query "+q.name, after)
	if err != nil {
		return Statement{}, nil, err
	}
	p := &Page{what: "query " + q.name, limit: rowLimit(limit), orderBy: q.orderBy, counting: len(q.orderBy) == 0}
	where := ""
	if len(q.orderBy) > 0 {
		if after := at.Key; after != nil {
			if len(after) != len(q.orderBy) {
				return Statement{}, nil, wrongPlace("query " + q.name)
			}
			offset = 0
			where = " WHERE " + behind(q.orderBy, after, &args)
		}
	} else if at.Key != nil {
		return Statement{}, nil, wrongPlace("query " + q.name)
	} else if len(after) > 0 {
		offset = at.Count
	}
	p.before = offset
	sql := q.paged(where, len(args))
	args = append(args, number(uint64(p.limit)+1), number(offset))
	return Statement{sql, args}, p, nil
}

// behind is the condition of rows that come after a place in the order of some columns, empty values last. The types
// of the columns are the database's to know: the arguments take them from what they are compared with.
func behind(columns []string, key []*string, args *[]Arg) string {
	c := "q." + quote(columns[0])
	rest := ""
	if key[0] == nil {
		if len(columns) == 1 {
			return "false"
		}
		return "(" + c + " IS NULL AND " + behind(columns[1:], key[1:], args) + ")"
	}
	*args = append(*args, Arg{Text: []byte(*key[0])})
	n := "$" + strconv.Itoa(len(*args))
	if len(columns) > 1 {
		rest = " OR " + c + " = " + n + " AND " + behind(columns[1:], key[1:], args)
	}
	return "(" + c + " > " + n + " OR " + c + " IS NULL" + rest + ")"
}
