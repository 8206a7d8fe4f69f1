package flow

import (
	"encoding/json"
	"iter"

	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// Table is one of the application's own tables, in the virtual node's database. Its value is the table's name in the
// package's declarations:
//
//	const accounts = flow.Table[Account]("accounts")
//
// A Row is a struct whose JSON members are columns; columns that it has no field for are left alone. Whole numbers are
// int64, numeric is [Decimal], timestamps are time.Time (microseconds), bytes are []byte.
//
// Each request is one transaction of the database: it is done wholly or, when it returns an error, not at all.
type Table[Row any] string

// RowKey names a row by the columns of its primary key. A struct with these columns does the same, such as a Row.
type RowKey map[string]any

// Page is a part of a result.
type Page[Row any] struct {
	Rows []Row
	// Next is where the next page begins; empty when this is the last.
	Next []byte
}

// Persist inserts rows. The error is "exists" when a row of the same primary key does.
func (t Table[Row]) Persist(ctx *Context, rows ...Row) error { return t.PersistOnce(ctx, "", rows...) }

// PersistOnce inserts rows under an id: a second request of the virtual node with the same id does nothing and returns
// what the first one did. An empty id is none.
func (t Table[Row]) PersistOnce(ctx *Context, dedupID string, rows ...Row) error {
	if len(rows) == 0 {
		return nil
	}
	_, err := do(ctx, t.persist(dedupID, rows))
	return err
}

// PersistCall is [Table.Persist] as a call.
func (t Table[Row]) PersistCall(rows ...Row) *Action { return t.persist("", rows) }

func (t Table[Row]) persist(dedupID string, rows []Row) *Action {
	b, err := objects(rows)
	if err != nil {
		return failed[struct{}](t.invalid(err))
	}
	return action(&wire.PersistRows{Table: string(t), Rows: b, DedupID: dedupID})
}

// Merge inserts rows, or changes those whose primary key exists, and returns them as they are then. Columns for which
// Row has no field, or that it leaves out by omitempty, keep their values: to change some columns, use a Table of a
// smaller Row.
func (t Table[Row]) Merge(ctx *Context, rows ...Row) ([]Row, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	return do(ctx, t.MergeCall(rows...))
}

// MergeCall is [Table.Merge] as a call.
func (t Table[Row]) MergeCall(rows ...Row) *Pending[[]Row] {
	b, err := objects(rows)
	if err != nil {
		return failed[[]Row](t.invalid(err))
	}
	return pending(&wire.MergeRows{Table: string(t), Rows: b},
		func(_ *Context, result []byte, into *[]Row) error {
			var r wire.Rows
			if err := receive(result, &r); err != nil {
				return err
			}
			var err error
			*into, err = parseRows[Row](r.Rows)
			return err
		})
}

// Remove deletes rows by primary key (a [RowKey], a Row, or any struct with the key's columns). Rows that are not there
// are passed over.
func (t Table[Row]) Remove(ctx *Context, keys ...any) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := do(ctx, t.RemoveCall(keys...))
	return err
}

// RemoveCall is [Table.Remove] as a call.
func (t Table[Row]) RemoveCall(keys ...any) *Action {
	b, err := objects(keys)
	if err != nil {
		return failed[struct{}](t.invalid(err))
	}
	return action(&wire.RemoveRows{Table: string(t), Keys: b})
}

// Find reads the row of a primary key (a [RowKey], or any struct with the key's columns). The error is "not-found" when
// there is none.
func (t Table[Row]) Find(ctx *Context, key any) (Row, error) {
	var none Row
	rows, err := t.FindMany(ctx, key)
	switch {
	case err != nil:
		return none, err
	case rows[0] == nil:
		return none, Errorf(ErrNotFound.Type, "table %s has no such row", t)
	}
	return *rows[0], nil
}

// FindMany reads the rows of several primary keys, in the order asked, with nil for a row that is not there.
func (t Table[Row]) FindMany(ctx *Context, keys ...any) ([]*Row, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	return do(ctx, t.FindCall(keys...))
}

// FindCall is [Table.FindMany] as a call.
func (t Table[Row]) FindCall(keys ...any) *Pending[[]*Row] {
	b, err := objects(keys)
	if err != nil {
		return failed[[]*Row](t.invalid(err))
	}
	return pending(&wire.FindRows{Table: string(t), Keys: b},
		func(_ *Context, result []byte, into *[]*Row) error {
			var r wire.Rows
			if err := receive(result, &r); err != nil {
				return err
			}
			if len(r.Rows) != len(b) {
				return Errorf("protocol", "the platform found %d rows for %d keys", len(r.Rows), len(b))
			}
			for _, raw := range r.Rows {
				if len(raw) == 0 {
					*into = append(*into, nil)
					continue
				}
				row, err := parseRow[Row](raw)
				if err != nil {
					return err
				}
				*into = append(*into, &row)
			}
			return nil
		})
}

// FindAll reads the table in the order of its primary key, a page for each step. It ends with the first error.
func (t Table[Row]) FindAll(ctx *Context) iter.Seq2[Row, error] {
	return pages(func(after []byte) (Page[Row], error) { return t.FindPage(ctx, 0, after) })
}

// FindPage reads a page of the table: at most limit rows (1,000 for zero) from where the page before says; nil is the
// beginning.
func (t Table[Row]) FindPage(ctx *Context, limit int, after []byte) (Page[Row], error) {
	return do(ctx, t.FindPageCall(limit, after))
}

// FindPageCall is [Table.FindPage] as a call.
func (t Table[Row]) FindPageCall(limit int, after []byte) *Pending[Page[Row]] {
	return pagesCall[Row](&wire.FindAllRows{Table: string(t), Limit: uint32(max(0, limit)), After: after})
}

func (t Table[Row]) invalid(err error) error {
	return Errorf(ErrInvalidRow.Type, "table %s: a row or key cannot be written as JSON: %s", t, err)
}

// pages reads page after page.
func pages[Row any](read func(after []byte) (Page[Row], error)) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for after := []byte(nil); ; {
			p, err := read(after)
			if err != nil {
				var none Row
				yield(none, err)
				return
			}
			for _, row := range p.Rows {
				if !yield(row, nil) {
					return
				}
			}
			if after = p.Next; len(after) == 0 {
				return
			}
		}
	}
}

func pagesCall[Row any](o wire.Operation) *Pending[Page[Row]] {
	return pending(o, func(_ *Context, result []byte, into *Page[Row]) error {
		var r wire.Page
		if err := receive(result, &r); err != nil {
			return err
		}
		rows, err := parseRows[Row](r.Rows)
		*into = Page[Row]{Rows: rows, Next: r.Next}
		return err
	})
}

func objects[T any](all []T) ([][]byte, error) {
	out := make([][]byte, len(all))
	for i, v := range all {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		out[i] = b
	}
	return out, nil
}

func parseRows[Row any](all [][]byte) ([]Row, error) {
	rows := make([]Row, 0, len(all))
	for _, raw := range all {
		row, err := parseRow[Row](raw)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func parseRow[Row any](raw []byte) (row Row, err error) {
	if err := unmarshal(raw, &row, false); err != nil {
		return row, Errorf(ErrInvalidRow.Type, "a row of the database does not fit %T: %s", row, err)
	}
	return row, nil
}
