package flow

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
)

// maxMisfits bounds how much is told of one JSON value.
const maxMisfits = 5

// unmarshal reads JSON; strict refuses what is not known and what stands behind the value. Its error says which fields do
// not fit, what is given there and what is wanted: the JSON package's own speak of Go's types, end at the first, and of a
// type that reads itself they do not name the field.
func unmarshal(b []byte, into any, strict bool) error {
	err := read(b, into, strict)
	if err == nil || errors.As(err, new(*json.InvalidUnmarshalError)) { // the latter is a mistake of the code
		return err
	}
	if !json.Valid(b) {
		if strict && errors.Is(err, errBehind) {
			return err
		}
		return fmt.Errorf("it is not JSON: %s", plain(err))
	}
	m := misfits{strict: strict}
	m.look(b, reflect.TypeOf(into).Elem(), "")
	switch n := len(m.found); {
	case n == 0:
		return errors.New(plain(err))
	case n > maxMisfits:
		m.found = append(m.found[:maxMisfits], fmt.Sprintf("and %d more", n-maxMisfits))
	}
	return errors.New(strings.Join(m.found, "; "))
}

var errBehind = errors.New("there is something behind the JSON value")

func read(b []byte, into any, strict bool) error {
	if !strict {
		return json.Unmarshal(b, into)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errBehind
	}
	return nil
}

// plain is an error of the JSON package's.
func plain(err error) string {
	var syntax *json.SyntaxError
	text := strings.TrimPrefix(err.Error(), "json: ")
	if errors.As(err, &syntax) {
		text += fmt.Sprintf(", at byte %d", syntax.Offset)
	}
	return text
}

// misfits are the fields of a JSON value that do not fit a type.
type misfits struct {
	strict bool
	found  []string
}

func (m *misfits) look(raw []byte, t reflect.Type, at string) {
	raw = bytes.TrimSpace(raw)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	err := read(raw, reflect.New(t).Interface(), m.strict)
	if err == nil {
		return
	}
	p := reflect.PointerTo(t)
	own := p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
	switch k := t.Kind(); {
	case own && wantedOf(t) == "" && errors.As(err, new(*json.UnmarshalTypeError)):
		m.add(at, "wanted is a text, given is "+given(raw))
	case own && wantedOf(t) == "":
		m.add(at, plain(err)+", given is "+given(raw))
	case !own && k == reflect.Struct && raw[0] == '{':
		m.members(raw, t, at)
	case !own && k == reflect.Map && raw[0] == '{':
		for name, value := range object(raw) {
			m.look(value, t.Elem(), strings.TrimPrefix(at+"."+name, "."))
		}
	case !own && (k == reflect.Slice || k == reflect.Array) && raw[0] == '[':
		var items []json.RawMessage
		_ = json.Unmarshal(raw, &items) // it is valid JSON, and a list
		for i, item := range items {
			m.look(item, t.Elem(), fmt.Sprintf("%s[%d]", at, i))
		}
	default:
		m.add(at, "wanted is "+wantsOf(t)+", given is "+given(raw))
	}
}

func (m *misfits) add(at, what string) {
	if at != "" {
		what = fmt.Sprintf("field %q: %s", at, what)
	}
	m.found = append(m.found, what)
}

// object yields the members of a JSON object in the order of their names.
func object(raw []byte) func(yield func(string, json.RawMessage) bool) {
	var all map[string]json.RawMessage
	_ = json.Unmarshal(raw, &all) // it is valid JSON, and an object
	return func(yield func(string, json.RawMessage) bool) {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if !yield(name, all[name]) {
				return
			}
		}
	}
}

func (m *misfits) members(raw []byte, t reflect.Type, at string) {
	fields := fieldsOf(t)
	for name, value := range object(raw) {
		path := strings.TrimPrefix(at+"."+name, ".")
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		if i < 0 { // as the JSON package does it
			i = slices.IndexFunc(fields, func(f field) bool { return strings.EqualFold(f.name, name) })
		}
		switch {
		case i >= 0 && !fields[i].quoted:
			m.look(value, fields[i].of, path)
		case i < 0 && m.strict:
			m.found = append(m.found, fmt.Sprintf("unknown field %q: known are %s", path, names(fields)))
		}
	}
}

// field is a field of a struct as JSON has it. A quoted one is a text that holds a value.
type field struct {
	name   string
	of     reflect.Type
	quoted bool
}

func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		of := f.Type
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		switch {
		case f.Tag.Get("json") == "-":
		case f.Anonymous && name == "" && of.Kind() == reflect.Struct:
			out = append(out, fieldsOf(of)...)
		case f.IsExported():
			if name == "" {
				name = f.Name
			}
			out = append(out, field{name, f.Type, slices.Contains(strings.Split(options, ","), "string")})
		}
	}
	return out
}

func names(fields []field) string {
	if len(fields) == 0 {
		return "none"
	}
	var out []string
	for _, f := range fields {
		out = append(out, f.name)
	}
	return strings.Join(out, ", ")
}

// wantedOf knows types that read themselves; empty for others.
func wantedOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Decimal]():
		return `a decimal number, as "10.50"`
	case reflect.TypeFor[time.Time]():
		return `a time, as "2026-01-31T12:00:00Z"`
	default:
		return ""
	}
}

// wantsOf says what a type takes.
func wantsOf(t reflect.Type) string {
	if known := wantedOf(t); known != "" {
		return known
	}
	switch k := t.Kind(); k {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Int8, reflect.Int16, reflect.Int32:
		top := int64(1)<<(t.Bits()-1) - 1
		return fmt.Sprintf("a whole number from %d to %d", -top-1, top)
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return fmt.Sprintf("a whole number from 0 to %d", uint64(math.MaxUint64)>>(64-t.Bits()))
	case reflect.Uint, reflect.Uint64:
		return "a whole number from 0"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 && k == reflect.Slice {
			return "bytes, as a text in base64"
		}
		return "a list"
	case reflect.Struct:
		if fields := fieldsOf(t); len(fields) > 0 {
			return "an object with " + names(fields)
		}
		return "an object without fields"
	default:
		return "an object"
	}
}

// given says what a JSON value is.
func given(raw []byte) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "the text " + cut(raw)
	case 't', 'f', 'n':
		return string(raw)
	default:
		return "the number " + cut(raw)
	}
}

// cut bounds what is told of a value.
func cut(raw []byte) string {
	const most = 60
	text := []rune(string(raw))
	if len(text) <= most {
		return string(text)
	}
	return string(text[:most]) + "…"
}
