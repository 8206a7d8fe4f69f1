package flow

import (
	"encoding/json"
	"iter"

	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// Query is a named query that the package declares. Its value is the query's name:
//
//	const byOwner = flow.Query[Account]("accounts-by-owner")
//
// A Row's JSON members are columns of the result.
type Query[Row any] string

// QueryOption changes how a query is run.
type QueryOption func(*wire.NamedQuery)

// Offset passes over the first rows of the result.
func Offset(n int) QueryOption { return func(q *wire.NamedQuery) { q.Offset = uint64(max(0, n)) } }

// PageSize is how many rows a page has at most; 1,000 without it.
func PageSize(n int) QueryOption { return func(q *wire.NamedQuery) { q.Limit = uint32(max(0, n)) } }

// Rows runs the query, a page for each step, and ends with the first error. Parameters are a struct or map with a member
// for each declared parameter, nil for a query without.
func (q Query[Row]) Rows(ctx *Context, parameters any, opts ...QueryOption) iter.Seq2[Row, error] {
	return pages(func(after []byte) (Page[Row], error) { return q.Page(ctx, parameters, after, opts...) })
}

// List is Rows as a slice, for results that are known to be small.
func (q Query[Row]) List(ctx *Context, parameters any, opts ...QueryOption) ([]Row, error) {
	var all []Row
	for row, err := range q.Rows(ctx, parameters, opts...) {
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, nil
}

// Page runs the query for one page, from where the page before says; nil is the beginning.
func (q Query[Row]) Page(ctx *Context, parameters any, after []byte, opts ...QueryOption) (Page[Row], error) {
	return do(ctx, q.PageCall(parameters, after, opts...))
}

// PageCall is [Query.Page] as a call.
func (q Query[Row]) PageCall(parameters any, after []byte, opts ...QueryOption) *Pending[Page[Row]] {
	o := &wire.NamedQuery{Query: string(q), After: after}
	for _, opt := range opts {
		opt(o)
	}
	if parameters != nil {
		b, err := json.Marshal(parameters)
		if err != nil {
			return failed[Page[Row]](Errorf(ErrInvalidRow.Type, "query %s: the parameters cannot be written as JSON: %s", q, err))
		}
		o.Parameters = b
	}
	return pagesCall[Row](o)
}
