package rows

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// Limits of a page.
const (
	// DefaultRows is a page's limit when the request has none, MaxRows the highest.
	DefaultRows = 1000
	MaxRows     = 10_000
	// maxPlace bounds what is given as "after"; the rest of MaxBytes is for rows.
	maxPlace = 16 << 10
	rowBytes = MaxBytes - maxPlace - 4<<10
	// perRow is what a row costs beside its text.
	perRow = 8
)

func rowLimit(limit uint32) int {
	if limit == 0 {
		return DefaultRows
	}
	return int(min(limit, MaxRows))
}

// pagePlace is the content of "after" and "next".
type pagePlace struct {
	// Of is the table or query.
	Of string `json:"of"`
	// Key is the order's columns of the last row, Count how many rows were before.
	Key   []*string `json:"key,omitempty"`
	Count uint64    `json:"count,omitempty"`
}

func readPlace(of string, after []byte) (pagePlace, error) {
	if len(after) == 0 {
		return pagePlace{}, nil
	}
	var p pagePlace
	d := json.NewDecoder(bytes.NewReader(after))
	d.DisallowUnknownFields()
	if len(after) > maxPlace || d.Decode(&p) != nil || p.Of != of || p.Count > 1<<62 {
		return p, wrongPlace(of)
	}
	for _, k := range p.Key {
		if k != nil && bytes.IndexByte([]byte(*k), 0) >= 0 {
			return p, wrongPlace(of)
		}
	}
	return p, nil
}

func wrongPlace(of string) *Problem {
	return &Problem{IDPage, TypePage, "after is not what a page of " + of + " returned as next; begin without it"}
}

// Page takes the rows of a result until the page is full.
type Page struct {
	what     string
	limit    int
	whole    bool // not cut: too much is an error
	counting bool
	unique   bool // the order is known to tell rows apart
	orderBy  []string
	before   uint64

	order []int // where orderBy's columns are in the result
	rows  [][]byte
	size  int
	last  []*string
	next  []byte
}

// Add takes a row; full tells that no more are wanted. Values are in Postgres's text form and are copied.
func (p *Page) Add(fields []Field, values [][]byte) (full bool, err error) {
	if p.order == nil {
		if err := p.begin(fields); err != nil {
			return false, err
		}
	}
	if p.next != nil {
		return true, nil
	}
	key := p.key(values)
	if !p.whole && len(p.rows) == p.limit {
		return true, p.cut(key)
	}
	object, err := Object(fields, values)
	if err != nil {
		return false, err
	}
	if p.size+len(object)+perRow > rowBytes {
		switch {
		case p.whole:
			return false, tooLarge("%s: the result has more than %d bytes, and a query that writes has no pages; return fewer columns or rows", p.what, rowBytes)
		case len(p.rows) == 0:
			return false, tooLarge("%s: one row of the result has %d bytes; at most %d fit: select fewer columns", p.what, len(object), rowBytes)
		}
		return true, p.cut(key)
	}
	p.rows = append(p.rows, object)
	p.size += len(object) + perRow
	p.last = key
	return false, nil
}

// begin looks at the columns of the result.
func (p *Page) begin(fields []Field) error {
	p.order = []int{}
	seen := map[string]bool{}
	for _, f := range fields {
		if seen[f.Name] {
			return wrongQuery("%s: the result has the column %q twice; rename one with AS", p.what, f.Name)
		}
		seen[f.Name] = true
	}
	for _, name := range p.orderBy {
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == name })
		if i < 0 {
			return wrongQuery("%s: order_by names the column %q, which the result lacks", p.what, name)
		}
		p.order = append(p.order, i)
	}
	return nil
}

func (p *Page) key(values [][]byte) []*string {
	out := make([]*string, len(p.order))
	for n, i := range p.order {
		if values[i] != nil {
			s := string(values[i])
			out[n] = &s
		}
	}
	return out
}

// cut ends the page before a row.
func (p *Page) cut(key []*string) error {
	at := pagePlace{Of: p.what}
	if p.counting {
		at.Count = p.before + uint64(len(p.rows))
	} else {
		if !p.unique && sameKey(p.last, key) {
			return wrongQuery("%s: two rows have the same values in order_by (%s), so pages would skip one; add a column that tells them apart", p.what, columnList(p.orderBy))
		}
		at.Key = p.last
	}
	next, err := json.Marshal(at)
	if err != nil {
		return fmt.Errorf("%s: place of the next page: %w", p.what, err)
	}
	if len(next) > maxPlace {
		return tooLarge("%s: the columns of its order have %d bytes in one row; at most %d can be kept between pages", p.what, len(next), maxPlace)
	}
	p.next = next
	return nil
}

func sameKey(a, b []*string) bool {
	return slices.EqualFunc(a, b, func(x, y *string) bool {
		return x == nil && y == nil || x != nil && y != nil && *x == *y
	})
}

func columnList(names []string) string { return joined(names, "") }

// Rows returns the page's rows, and where the next page begins: nothing when this is the last.
func (p *Page) Rows() (rows [][]byte, next []byte) { return p.rows, p.next }

// Found takes the result of [Table.Find].
type Found struct {
	table *Table
	rows  [][]byte
	size  int
}

// Add takes a row.
func (f *Found) Add(fields []Field, values [][]byte) (full bool, err error) {
	n, err := strconv.Atoi(string(values[0]))
	if err != nil || n < 0 || n >= len(f.rows) {
		return false, wrongQuery("table %s: the database answered with the key number %q", f.table.name, values[0])
	}
	object, err := Object(fields[1:], values[1:])
	if err != nil {
		return false, err
	}
	if f.size += len(object) + perRow; f.size > rowBytes {
		return false, tooLarge("table %s: the rows found have more than %d bytes; ask for fewer keys at once", f.table.name, rowBytes)
	}
	f.rows[n] = object
	return false, nil
}

// Rows returns what was found in the order asked, empty where there is no row.
func (f *Found) Rows() [][]byte { return f.rows }

// Merged takes the results of [Table.Merge].
func (t *Table) Merged() *Page { return &Page{what: "table " + t.name, whole: true} }
