package rows

import (
	"fmt"
	"slices"
	"strings"

	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// StateQuery is a named query of the states that a virtual node keeps of the ledger: one condition on visible_states.
type StateQuery struct{ query Query }

// Name returns the query's name.
func (q *StateQuery) Name() string { return q.query.name }

// Condition returns what stands behind WHERE, with $1, $2, … for the parameters, and the arguments of a request. Its
// error is a *[Problem].
func (q *StateQuery) Condition(parameters []byte) (string, []Arg, error) {
	args, err := q.query.args(parameters)
	return q.query.sql, args, err
}

// Types are the object ids of the types of $1, $2, …
func (q *StateQuery) Types() []uint32 { return q.query.types() }

// StateQuery returns a declared query of states, or a *[Problem].
func (s *Schema) StateQuery(name string) (*StateQuery, error) {
	if q, ok := s.stateQueries[name]; ok {
		return q, nil
	}
	if _, ok := s.queries[name]; ok {
		return nil, notDeclared("query %q is declared and is none of states; declare it with \"states\", or ask it as a query of tables", name)
	}
	return nil, notDeclared("query %q of states is not declared; %s", name, declared("queries of states", s.stateQueries))
}

// beyond are words that a condition does not need: with them it would be another statement, a part of one, or one within
// it.
var beyond = []string{
	"select", "where", "with", "values", "table", "union", "intersect", "except", "group", "having", "window", "order", "limit", "offset", "fetch", "returning", "into",
	"insert", "update", "delete", "merge", "truncate", "copy", "call", "do", "set", "create", "alter", "drop", "grant", "revoke", "lock", "exists",
}

func compileStateQuery(d *cpiv1.QueryDeclaration) (*StateQuery, []error) {
	q := &StateQuery{Query{name: d.GetName()}}
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, wrongDeclaration("query %q: "+format, append([]any{d.GetName()}, args...)...))
	}
	if d.GetWrites() || len(d.GetOrderBy()) > 0 {
		bad("it is one of states, which are read in the order in which they came: take writes and order_by away")
	}
	byName, errs := q.query.declare(d)
	problems = append(problems, errs...)
	if len(d.GetSql()) > maxQueryText {
		bad("the condition has %d bytes; at most %d are allowed", len(d.GetSql()), maxQueryText)
		return q, problems
	}
	tokens, err := scan(d.GetSql())
	if err == nil {
		err = q.build(tokens, byName)
	}
	if err != nil {
		bad("the condition %v", err)
		return q, problems
	}
	return q, append(problems, q.query.unused()...)
}

// build checks the tokens of a condition. It stands in brackets of its own, on lines of its own, so what is closed in it
// closes nothing around it, and a comment ends with it.
func (q *StateQuery) build(tokens []token, params map[string]int) error {
	for len(tokens) > 0 && tokens[0].kind == tokenSpace {
		tokens = tokens[1:]
	}
	if len(tokens) > 0 && tokens[0].kind == tokenWord && strings.EqualFold(tokens[0].text, "where") {
		tokens = tokens[1:] // as Corda's queries begin
	}
	empty := true
	for _, t := range tokens {
		empty = empty && t.kind == tokenSpace
		switch {
		case t.kind == tokenOther && t.text == ";":
			return fmt.Errorf("has a semicolon; give one condition, such as visible_states.payload ->> 'owner' = :owner")
		case t.kind == tokenWord && slices.Contains(beyond, strings.ToLower(t.text)):
			return fmt.Errorf("has the word %s; give one condition on visible_states, without queries in it and without what comes behind it", strings.ToUpper(t.text))
		}
	}
	if empty {
		return fmt.Errorf("is empty; give one on visible_states, or true for all states")
	}
	return q.query.number(tokens, params)
}
