package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// This file is the lenient reading of bodies that Corda's users rely on: JSON whatever the Content-Type says, one
// parameter wrapped in its name or not, scalars coerced, "any JSON" as an object or as a string that holds it.
// Unknown and doubled members stay errors, as they are there.

// maxDepth bounds the nesting of a body.
const maxDepth = 100

// members is a JSON object whose members were not yet read.
type members map[string]json.RawMessage

// unreadable is the failure for a body that cannot be read; cause is a word for programs.
func unreadable(parameter, cause, format string, args ...any) *failure {
	return refuse(http.StatusBadRequest, idBody, "Unable to parse parameter '%s'", parameter).
		with(map[string]string{"cause": cause, "reason": fmt.Sprintf(format, args...)})
}

// bodyObject reads the body of a method that has one body parameter: root[parameter] when it is there, else the
// root itself.
func bodyObject(body []byte, parameter string) (members, *failure) {
	root, fail := parseObject(body, parameter)
	if fail != nil {
		return nil, fail
	}
	if inner, ok := root[parameter]; ok && len(root) == 1 {
		return parseObject(inner, parameter)
	}
	return root, nil
}

func parseObject(body []byte, parameter string) (members, *failure) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, unreadable(parameter, "MissingBody", "the body is empty: send a JSON object")
	}
	if !utf8.Valid(body) {
		return nil, unreadable(parameter, "MalformedJson", "the body is not UTF-8")
	}
	if err := checkJSON(body); err != nil {
		return nil, unreadable(parameter, "MalformedJson", "%s", err)
	}
	var m members
	if err := json.Unmarshal(body, &m); err != nil || m == nil {
		return nil, unreadable(parameter, "MismatchedInput", "a JSON object is needed")
	}
	return m, nil
}

// checkJSON refuses malformed JSON (naming the byte), doubled members, too deep nesting and what follows the value.
func checkJSON(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	type level struct {
		seen map[string]bool // nil for an array
		key  bool            // a member's name comes next
	}
	var stack []level
	for {
		token, err := d.Token()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return fmt.Errorf("the JSON ends too early, at byte %d", len(body))
			}
			return fmt.Errorf("malformed JSON near byte %d: %w", max(d.InputOffset(), syntaxOffset(err)), err)
		}
		top := len(stack) - 1
		if name, ok := token.(string); ok && top >= 0 && stack[top].key {
			if stack[top].seen[name] {
				return fmt.Errorf("member %q is there twice, near byte %d", name, d.InputOffset())
			}
			stack[top].seen[name] = true
			stack[top].key = false
			continue
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{seen: map[string]bool{}, key: true})
		case json.Delim('['):
			stack = append(stack, level{})
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:top]
		}
		if len(stack) > maxDepth {
			return fmt.Errorf("JSON is nested deeper than %d levels, near byte %d", maxDepth, d.InputOffset())
		}
		opened := token == json.Delim('{') || token == json.Delim('[')
		if top := len(stack) - 1; top >= 0 && !opened && stack[top].seen != nil {
			stack[top].key = true // a member's value ended
		}
		if len(stack) == 0 {
			break
		}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("something follows the JSON value, near byte %d", d.InputOffset())
	}
	return nil
}

func syntaxOffset(err error) int64 {
	var s *json.SyntaxError
	if errors.As(err, &s) {
		return s.Offset
	}
	return 0
}

// only refuses members other than these.
func (m members) only(parameter string, names ...string) *failure {
	for name := range m {
		known := false
		for _, n := range names {
			known = known || n == name
		}
		if !known {
			return unreadable(parameter, "UnrecognizedProperty", "unknown member %q: known are %s", name, strings.Join(names, ", "))
		}
	}
	return nil
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// text reads a needed string; numbers and booleans are taken as their text.
func (m members) text(parameter, name string) (string, *failure) {
	s, ok, fail := m.optionalText(parameter, name)
	if fail == nil && !ok {
		fail = unreadable(parameter, "MissingProperty", "member %q is missing", name)
	}
	return s, fail
}

func (m members) optionalText(parameter, name string) (string, bool, *failure) {
	raw := m[name]
	if isNull(raw) {
		return "", false, nil
	}
	switch raw[0] {
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return "", false, unreadable(parameter, "MismatchedInput", "member %q is not a string: %s", name, err)
		}
		return s, true, nil
	case '{', '[':
		return "", false, unreadable(parameter, "MismatchedInput", "member %q must be a string", name)
	default:
		return string(raw), true, nil
	}
}

// number reads a needed whole number of at least low, also from a string.
func (m members) number(parameter, name string, low int64) (int64, *failure) {
	s, fail := m.text(parameter, name)
	if fail != nil {
		return 0, fail
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < low {
		return 0, unreadable(parameter, "InvalidFormat", "member %q is %q: a whole number from %d on is needed", name, s, low)
	}
	return n, nil
}

// anyJSON reads a needed member of any kind and returns JSON: of a string its text when that is JSON, else the
// string itself; "" counts as null.
func (m members) anyJSON(parameter, name string) ([]byte, *failure) {
	raw, ok := m[name]
	if !ok {
		return nil, unreadable(parameter, "MissingProperty", "member %q is missing", name)
	}
	if raw[0] == '"' {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, unreadable(parameter, "MismatchedInput", "member %q: %s", name, err)
		}
		switch inner := []byte(strings.TrimSpace(s)); {
		case len(inner) == 0:
			return []byte("null"), nil
		case checkJSON(inner) == nil:
			raw = inner
		}
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return nil, unreadable(parameter, "MalformedJson", "member %q: %s", name, err)
	}
	return compact.Bytes(), nil
}

// member is one member of a body and where its value goes: to a *string, *bool, *int64, *[]string, *[]members,
// *members or, as it is, *json.RawMessage.
type member struct {
	name   string
	needed bool
	into   any
}

func needed(name string, into any) member   { return member{name, true, into} }
func optional(name string, into any) member { return member{name, false, into} }

// read reads the members of a body and refuses others. Scalars are taken from strings, too.
func (m members) read(parameter string, all ...member) *failure {
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = one.name
	}
	if fail := m.only(parameter, names...); fail != nil {
		return fail
	}
	for _, one := range all {
		raw := m[one.name]
		if isNull(raw) {
			if one.needed {
				return unreadable(parameter, "MissingProperty", "member %q is missing", one.name)
			}
			continue
		}
		if fail := m.readOne(parameter, one, raw); fail != nil {
			return fail
		}
	}
	return nil
}

func (m members) readOne(parameter string, one member, raw json.RawMessage) (fail *failure) {
	mismatch := func(what string) *failure {
		return unreadable(parameter, "MismatchedInput", "member %q must be %s", one.name, what)
	}
	switch into := one.into.(type) {
	case *string:
		*into, _, fail = m.optionalText(parameter, one.name)
	case *bool:
		switch strings.ToLower(strings.Trim(string(raw), `"`)) {
		case "true":
			*into = true
		case "false":
			*into = false
		default:
			fail = mismatch("true or false")
		}
	case *int64:
		*into, fail = m.number(parameter, one.name, math.MinInt64)
	case *json.RawMessage:
		*into = raw
	case *[]string:
		if err := json.Unmarshal(raw, into); err != nil {
			fail = mismatch("a list of strings")
		}
	case *[]members:
		if err := json.Unmarshal(raw, into); err != nil {
			fail = mismatch("a list of objects")
		}
	case *members:
		if err := json.Unmarshal(raw, into); err != nil || *into == nil {
			fail = mismatch("an object")
		}
	default:
		fail = refuse(http.StatusInternalServerError, idInternal, "No way to read a %T.", one.into)
	}
	return fail
}
