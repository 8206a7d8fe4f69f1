package rows

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// kind is a declared type.
type kind string

const (
	kindText      kind = "text"
	kindBoolean   kind = "boolean"
	kindInteger   kind = "integer"
	kindBigint    kind = "bigint"
	kindNumeric   kind = "numeric"
	kindDouble    kind = "double"
	kindTimestamp kind = "timestamp"
	kindDate      kind = "date"
	kindUUID      kind = "uuid"
	kindJSON      kind = "json"
	kindBytes     kind = "bytes"
)

// Types returns the names of the types that columns and parameters may have.
func Types() []string {
	return []string{"text", "boolean", "integer", "bigint", "numeric", "double", "timestamp", "date", "uuid", "json", "bytes"}
}

func kindOf(name string) (kind, bool) { return kind(name), slices.Contains(Types(), name) }

// Object ids of Postgres's own types; they are the same in every database.
const (
	oidBool        = 16
	oidBytea       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidJSON        = 114
	oidFloat4      = 700
	oidFloat8      = 701
	oidDate        = 1082
	oidTimestamp   = 1114
	oidTimestamptz = 1184
	oidNumeric     = 1700
	oidUUID        = 2950
	oidJSONB       = 3802
)

// oid is the type with which a value of the kind is sent.
func (k kind) oid() uint32 {
	switch k {
	case kindBoolean:
		return oidBool
	case kindInteger:
		return oidInt4
	case kindBigint:
		return oidInt8
	case kindNumeric:
		return oidNumeric
	case kindDouble:
		return oidFloat8
	case kindTimestamp:
		return oidTimestamptz
	case kindDate:
		return oidDate
	case kindUUID:
		return oidUUID
	case kindJSON:
		return oidJSONB
	case kindBytes:
		return oidBytea
	default:
		return oidText
	}
}

var (
	wholeNumber   = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	decimalNumber = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?$`)
	uuidText      = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)
)

// maxDecimal bounds the text of a numeric value, well within what Postgres can hold.
const maxDecimal = 1000

// encode turns a JSON value into Postgres's text form of the kind; what is wrong comes back as words that continue
// "column x …". A JSON null is not for it.
func (k kind) encode(raw json.RawMessage) (text, wrong string) {
	s, isString := jsonString(raw)
	switch k {
	case kindText:
		if !isString {
			return "", "is " + describe(raw) + "; give a string"
		}
		if strings.ContainsRune(s, 0) {
			return "", `holds the character \u0000, which text cannot hold; declare it as bytes`
		}
		return s, ""
	case kindBoolean:
		if t := string(raw); t == "true" || t == "false" {
			return t, ""
		}
		return "", "is " + describe(raw) + "; give true or false"
	case kindInteger, kindBigint:
		return k.encodeWhole(raw, s, isString)
	case kindNumeric:
		if !isString {
			s = string(raw)
		}
		if len(s) > maxDecimal || !decimalNumber.MatchString(s) {
			return "", "is " + describe(raw) + "; give a decimal number, or a string that holds one"
		}
		return s, ""
	case kindDouble:
		return encodeDouble(raw, s, isString)
	case kindTimestamp:
		return encodeTimestamp(raw, s, isString)
	case kindDate:
		if _, err := time.Parse(time.DateOnly, s); !isString || err != nil || s < "0001" {
			return "", "is " + describe(raw) + "; give a date such as \"2026-01-31\""
		}
		return s, ""
	case kindUUID:
		if !isString || !uuidText.MatchString(s) {
			return "", "is " + describe(raw) + "; give a UUID such as \"0e3e7a5c-5a4e-4d0c-8f0b-2f6d2a9d6f11\""
		}
		return strings.ToLower(s), ""
	case kindJSON:
		return string(raw), ""
	case kindBytes:
		b, err := base64.StdEncoding.Strict().DecodeString(s)
		if !isString || err != nil || strings.ContainsAny(s, "\r\n") {
			return "", "is " + describe(raw) + "; give bytes in base64 with padding"
		}
		return `\x` + hex.EncodeToString(b), ""
	default:
		return "", "has the unknown type " + string(k)
	}
}

func (k kind) encodeWhole(raw json.RawMessage, s string, isString bool) (text, wrong string) {
	bits, hint := 32, "give a whole number between -2147483648 and 2147483647, or declare it as bigint"
	if k == kindBigint {
		bits, hint = 64, "give a whole number of 64 bits, or a string that holds one"
	}
	if !isString || k == kindInteger {
		s = string(raw)
	}
	if !wholeNumber.MatchString(s) {
		return "", "is " + describe(raw) + "; " + hint
	}
	n, err := strconv.ParseInt(s, 10, bits)
	if err != nil {
		return "", "is " + describe(raw) + "; " + hint
	}
	return strconv.FormatInt(n, 10), ""
}

func encodeDouble(raw json.RawMessage, s string, isString bool) (text, wrong string) {
	if isString {
		if s == "NaN" || s == "Infinity" || s == "-Infinity" {
			return s, ""
		}
		return "", "is " + describe(raw) + "; give a number, or \"NaN\", \"Infinity\" or \"-Infinity\""
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.IsInf(f, 0) {
		return "", "is " + describe(raw) + "; give a number that 64 bits of floating point can hold"
	}
	return strconv.FormatFloat(f, 'g', -1, 64), ""
}

// timestampOut is RFC 3339 in UTC with as many digits as there are, six at most.
const timestampOut = "2006-01-02T15:04:05.999999Z"

func encodeTimestamp(raw json.RawMessage, s string, isString bool) (text, wrong string) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if !isString || err != nil {
		return "", "is " + describe(raw) + "; give a time with zone such as \"2026-01-31T12:00:00.5Z\""
	}
	if t.Nanosecond()%1000 != 0 {
		return "", "is " + describe(raw) + "; at most six digits of a second can be kept"
	}
	if y := t.UTC().Year(); y < 1 || y > 9999 {
		return "", "is " + describe(raw) + "; give a year between 1 and 9999"
	}
	return t.UTC().Format(timestampOut), ""
}

// jsonString returns the string that a JSON value is.
func jsonString(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// describe shows a JSON value in a message, cut where it is long.
func describe(raw json.RawMessage) string {
	const most = 40
	s := string(raw)
	if len(s) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	switch {
	case s == "":
		return "nothing"
	case s[0] == '"':
		return "the string " + s
	case s[0] == '{':
		return "an object"
	case s[0] == '[':
		return "an array"
	default:
		return s
	}
}

// appendValue appends a value in Postgres's text form as JSON; nil is null. Types without a rule become strings.
func appendValue(dst []byte, oid uint32, text []byte) ([]byte, error) {
	if text == nil {
		return append(dst, "null"...), nil
	}
	s := string(text)
	switch oid {
	case oidBool:
		if s == "t" || s == "true" { // as a column, and as text
			return append(dst, "true"...), nil
		}
		return append(dst, "false"...), nil
	case oidInt2, oidInt4, oidInt8:
		return append(dst, text...), nil
	case oidFloat4, oidFloat8:
		if s == "NaN" || s == "Infinity" || s == "-Infinity" {
			return appendString(dst, s), nil
		}
		return append(dst, text...), nil
	case oidTimestamptz:
		t, err := time.Parse("2006-01-02 15:04:05.999999999Z07", s)
		if err != nil {
			return appendString(dst, s), nil //nolint:nilerr // infinity, and years that RFC 3339 has not
		}
		return appendString(dst, t.UTC().Format(timestampOut)), nil
	case oidTimestamp:
		return appendString(dst, strings.Replace(s, " ", "T", 1)), nil
	case oidJSON, oidJSONB:
		var b bytes.Buffer
		if err := json.Compact(&b, text); err != nil {
			return nil, fmt.Errorf("the database returned JSON that is none: %w", err)
		}
		return append(dst, b.Bytes()...), nil
	case oidBytea:
		raw, err := hex.DecodeString(strings.TrimPrefix(s, `\x`))
		if err != nil {
			return nil, fmt.Errorf("the database returned bytes that are not in hex: %w", err)
		}
		return appendString(dst, base64.StdEncoding.EncodeToString(raw)), nil
	default:
		return appendString(dst, s), nil
	}
}

// appendString appends a JSON string; only what JSON must escape is escaped.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r < 0x20:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
