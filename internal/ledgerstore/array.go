package ledgerstore

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/fairleadio/fairlead/internal/rows"
)

// Types of arguments, by the numbers that they have in every Postgres.
const (
	oidBytea       = 17
	oidInt8        = 20
	oidText        = 25
	oidByteas      = 1001
	oidTexts       = 1009
	oidInt8s       = 1016
	oidTimestamptz = 1184
)

func blob(b []byte) rows.Arg {
	return rows.Arg{OID: oidBytea, Text: append([]byte(`\x`), hex.EncodeToString(b)...)}
}

func word(s string) rows.Arg { return rows.Arg{OID: oidText, Text: []byte(s)} }

func number[T ~int | ~int64 | ~uint32 | ~uint64](n T) rows.Arg {
	return rows.Arg{OID: oidInt8, Text: strconv.AppendInt(nil, int64(n), 10)}
}

// array writes an array; an element that is not ok is NULL.
func array[T any](oid uint32, list []T, element func(T) (string, bool)) rows.Arg {
	var b strings.Builder
	b.WriteByte('{')
	for i, x := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		s, ok := element(x)
		if !ok {
			b.WriteString("NULL")
			continue
		}
		b.WriteByte('"')
		for j := range len(s) {
			if s[j] == '"' || s[j] == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(s[j])
		}
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return rows.Arg{OID: oid, Text: []byte(b.String())}
}

// blobs writes an array of bytes; nil is NULL.
func blobs(list [][]byte) rows.Arg {
	return array(oidByteas, list, func(b []byte) (string, bool) { return `\x` + hex.EncodeToString(b), b != nil })
}

// words writes an array of texts; nil is NULL.
func words(list []*string) rows.Arg {
	return array(oidTexts, list, func(s *string) (string, bool) {
		if s == nil {
			return "", false
		}
		return *s, true
	})
}

func numbers[T ~int | ~int64 | ~uint32 | ~uint64](list []T) rows.Arg {
	return array(oidInt8s, list, func(n T) (string, bool) { return strconv.FormatInt(int64(n), 10), true })
}
