package ledgerstore

import (
	"strconv"
)

// Bounds of what is kept as jsonb, all well below where Postgres gives up.
const (
	maxDepth    = 200
	maxNumber   = 300
	maxExponent = 300
)

// Queryable tells whether Postgres can hold a payload as jsonb. It must be valid JSON in UTF-8. Not everything that is
// can be held: no character 0, no half of a surrogate pair, no number beyond numeric. Such a payload comes from whoever
// wrote the transaction, and must not keep its receivers from storing it.
func Queryable(payload []byte) bool {
	depth := 0
	for i := 0; i < len(payload); {
		switch c := payload[i]; {
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return false
			}
			i++
		case c == '}' || c == ']':
			depth--
			i++
		case c == '"':
			end, ok := queryableString(payload, i+1)
			if !ok {
				return false
			}
			i = end
		case c == '-' || c >= '0' && c <= '9':
			end := i
			for end < len(payload) && isNumber(payload[end]) {
				end++
			}
			if !queryableNumber(string(payload[i:end])) {
				return false
			}
			i = end
		default:
			i++
		}
	}
	return true
}

// queryableString looks at a string from behind its quote and returns where it ends.
func queryableString(b []byte, i int) (end int, ok bool) {
	low := false // the next must be the low half of a pair
	for i < len(b) {
		if b[i] == '"' {
			return i + 1, !low
		}
		if b[i] != '\\' || i+1 >= len(b) {
			if low {
				return i, false
			}
			i++
			continue
		}
		if b[i+1] != 'u' {
			if low {
				return i, false
			}
			i += 2
			continue
		}
		if i+6 > len(b) {
			return i, false
		}
		r, err := strconv.ParseUint(string(b[i+2:i+6]), 16, 16)
		isLow, isHigh := r >= 0xdc00 && r < 0xe000, r >= 0xd800 && r < 0xdc00
		if err != nil || r == 0 || isLow != low {
			return i, false
		}
		low = isHigh
		i += 6
	}
	return i, false
}

func isNumber(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

func queryableNumber(s string) bool {
	if len(s) > maxNumber {
		return false
	}
	for i := range len(s) {
		if s[i] == 'e' || s[i] == 'E' {
			n, err := strconv.Atoi(s[i+1:])
			return err == nil && n >= -maxExponent && n <= maxExponent
		}
	}
	return true
}
