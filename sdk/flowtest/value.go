package flowtest

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// types are what columns may be.
var types = []string{"text", "boolean", "integer", "bigint", "numeric", "double", "timestamp", "date", "uuid", "json", "bytes"}

// value is a value of a column: its JSON as the platform gives it out, and what it is ordered by. The zero value is
// null.
type value struct {
	text  string
	order any // string, float64 or *big.Rat
}

func (v value) null() bool { return v.text == "" }

func (v value) json() string {
	if v.null() {
		return "null"
	}
	return v.text
}

func (v value) compare(o value) int {
	switch a := v.order.(type) {
	case *big.Rat:
		if b, ok := o.order.(*big.Rat); ok {
			return a.Cmp(b)
		}
	case float64:
		if b, ok := o.order.(float64); ok {
			return cmp.Compare(a, b)
		}
	case string:
		if b, ok := o.order.(string); ok {
			return strings.Compare(a, b)
		}
	}
	return strings.Compare(v.text, o.text)
}

var (
	wholeNumber   = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	decimalNumber = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?$`)
	uuidText      = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)
)

// parseValue reads a JSON value as one of a type. What is wrong comes back as words that continue "column x …". The
// rules are those of the persistence worker.
func parseValue(typ string, raw json.RawMessage) (v value, wrong string) {
	if string(raw) == "null" {
		return value{}, ""
	}
	var s string
	isString := len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil
	is := "is " + string(raw[:min(len(raw), 40)]) + "; give "
	quoted := func(text string) value {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		_ = e.Encode(text) // text is always JSON
		return value{strings.TrimSuffix(b.String(), "\n"), text}
	}
	switch typ {
	case "text":
		if !isString || strings.ContainsRune(s, 0) {
			return v, is + `a string without \u0000`
		}
		return quoted(s), ""
	case "boolean":
		if t := string(raw); t == "true" || t == "false" {
			return value{t, t}, ""
		}
		return v, is + "true or false"
	case "integer", "bigint":
		bits := 32
		if typ == "bigint" {
			bits = 64
		}
		if !isString || typ == "integer" {
			s = string(raw)
		}
		n, err := strconv.ParseInt(s, 10, bits)
		if err != nil || !wholeNumber.MatchString(s) {
			return v, is + fmt.Sprintf("a whole number of %d bits", bits)
		}
		return value{strconv.FormatInt(n, 10), new(big.Rat).SetInt64(n)}, ""
	case "numeric":
		if !isString {
			s = string(raw)
		}
		rat, ok := new(big.Rat).SetString(s)
		if !ok || len(s) > 1000 || !decimalNumber.MatchString(s) {
			return v, is + "a decimal number, or a string that holds one"
		}
		v = quoted(s)
		v.order = rat
		return v, ""
	case "double":
		f, err := strconv.ParseFloat(string(raw), 64)
		switch {
		case isString && (s == "NaN" || s == "Infinity" || s == "-Infinity"):
			v = quoted(s)
			v.order, _ = strconv.ParseFloat(s, 64)
			return v, ""
		case isString || err != nil || math.IsInf(f, 0):
			return v, is + `a number, or "NaN", "Infinity" or "-Infinity"`
		}
		return value{strconv.FormatFloat(f, 'g', -1, 64), f}, ""
	case "timestamp":
		t, err := time.Parse(time.RFC3339Nano, s)
		if !isString || err != nil || t.Nanosecond()%1000 != 0 {
			return v, is + `a time with zone such as "2026-01-31T12:00:00.5Z", with six digits of a second at most`
		}
		v = quoted(t.UTC().Format("2006-01-02T15:04:05.999999Z"))
		v.order = t.UTC().Format("2006-01-02T15:04:05.000000")
		return v, ""
	case "date":
		if _, err := time.Parse(time.DateOnly, s); !isString || err != nil {
			return v, is + `a date such as "2026-01-31"`
		}
		return quoted(s), ""
	case "uuid":
		if !isString || !uuidText.MatchString(s) {
			return v, is + "a UUID"
		}
		return quoted(strings.ToLower(s)), ""
	case "json":
		var b bytes.Buffer
		if json.Compact(&b, raw) != nil {
			return v, is + "JSON"
		}
		return value{b.String(), b.String()}, ""
	default: // bytes
		b, err := base64.StdEncoding.Strict().DecodeString(s)
		if !isString || err != nil || strings.ContainsAny(s, "\r\n") {
			return v, is + "bytes in base64 with padding"
		}
		v = quoted(s)
		v.order = string(b)
		return v, ""
	}
}
