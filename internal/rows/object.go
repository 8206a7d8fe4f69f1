package rows

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// member is one name and value of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// parseObject reads a JSON object in the order of its members. Names that come twice are an error, for one value would
// be lost.
func parseObject(b []byte) ([]member, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	open, err := d.Token()
	if err != nil || open != json.Delim('{') {
		return nil, errors.New("is not a JSON object")
	}
	var out []member
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("is not JSON: %w", err)
		}
		m := member{name: name.(string)}
		if seen[m.name] {
			return nil, fmt.Errorf("has the member %q twice", m.name)
		}
		seen[m.name] = true
		if err := d.Decode(&m.value); err != nil {
			return nil, fmt.Errorf("is not JSON: %w", err)
		}
		out = append(out, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("has something after the JSON object")
	}
	return out, nil
}

// Field is a column of a result.
type Field struct {
	Name string
	OID  uint32
}

// Object makes the JSON object of a row of a result; values are in Postgres's text form, nil for NULL.
func Object(fields []Field, values [][]byte) ([]byte, error) {
	out := make([]byte, 0, 64)
	out = append(out, '{')
	var err error
	for i, f := range fields {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendString(out, f.Name), ':')
		if out, err = appendValue(out, f.OID, values[i]); err != nil {
			return nil, wrongQuery("column %s: %v", f.Name, err)
		}
	}
	return append(out, '}'), nil
}
