package rows

import (
	"strconv"
	"strings"
	"time"
)

// Inserts takes the results of [Table.Persist].
type Inserts struct {
	table *Table
	rows  []row
	keys  []string
}

// Add takes the primary key of a row that was inserted.
func (s *Inserts) Add(_ []Field, values [][]byte) (full bool, err error) {
	texts := make([]string, len(values))
	for n, v := range values {
		texts[n] = s.table.columns[s.table.key[n]].kind.canonical(string(v))
	}
	s.keys = append(s.keys, joinKey(texts))
	return false, nil
}

// Check returns the [Problem] of a row that was there already, nil when all were inserted.
func (s *Inserts) Check() error {
	if len(s.keys) == len(s.rows) {
		return nil
	}
	at, missing := 0, 0
	for n, r := range s.rows {
		if at < len(s.keys) && s.table.canonicalKey(r) == s.keys[at] {
			at++
			continue
		}
		if missing == 0 {
			missing = n + 1
		}
	}
	which := "a row"
	if at == len(s.keys) { // every key that came back was recognised
		which = "row " + strconv.Itoa(missing)
	}
	return &Problem{IDConstraint, TypeExists, "table " + s.table.name + ", " + which + ": a row with this primary key (" + columnList(s.table.keyColumns()) +
		") exists already, or comes twice in the request; use merge to change it. Nothing was inserted"}
}

func (t *Table) keyColumns() []string {
	names := make([]string, len(t.key))
	for n, i := range t.key {
		names[n] = t.columns[i].name
	}
	return names
}

// canonicalKey is the same text for values that the database holds equal.
func (t *Table) canonicalKey(r row) string {
	texts := make([]string, len(t.key))
	for n, i := range t.key {
		a, _ := r.at(i) // a key is always given
		texts[n] = t.columns[i].kind.canonical(string(a.Text))
	}
	return joinKey(texts)
}

func joinKey(texts []string) string {
	var b strings.Builder
	for _, s := range texts {
		b.WriteString(strconv.Itoa(len(s)) + ":" + s)
	}
	return b.String()
}

// canonical makes one text of the forms that a value may have: as it is sent, and as the database returns it.
func (k kind) canonical(text string) string {
	switch k {
	case kindBoolean:
		return text[:min(1, len(text))]
	case kindNumeric:
		return canonicalDecimal(text)
	case kindDouble:
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return strconv.FormatFloat(f+0, 'g', -1, 64) // + 0: minus zero is zero
		}
	case kindTimestamp:
		for _, layout := range []string{timestampOut, "2006-01-02 15:04:05.999999Z07"} {
			if t, err := time.Parse(layout, text); err == nil {
				return t.UTC().Format(timestampOut)
			}
		}
	default:
	}
	return text
}

// canonicalDecimal makes one text of the forms of a decimal number: its digits without zeros at either end, and the power
// of ten that belongs to them. It never writes an exponent out, which four digits make ten thousand. What is no number
// stays as it is.
func canonicalDecimal(text string) string {
	if !decimalNumber.MatchString(text) {
		return text
	}
	mantissa, power := strings.ToLower(text), 0
	if m, e, ok := strings.Cut(mantissa, "e"); ok {
		n, err := strconv.Atoi(e)
		if err != nil {
			return text
		}
		mantissa, power = m, n
	}
	sign := ""
	if mantissa[0] == '-' {
		sign = "-"
	}
	whole, fraction, _ := strings.Cut(strings.TrimLeft(mantissa, "+-"), ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	power -= len(fraction)
	short := strings.TrimRight(digits, "0")
	if short == "" {
		return "0"
	}
	return sign + short + "e" + strconv.Itoa(power+len(digits)-len(short))
}
