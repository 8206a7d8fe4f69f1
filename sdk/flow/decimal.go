package flow

import (
	"encoding/json"
	"fmt"
)

// Decimal is a decimal number without loss: its text. It is a string in JSON, and read from a string or a number, so
// that no digit passes through floating point. math/big calculates with it: new(big.Rat).SetString(string(d)).
type Decimal string

// MarshalJSON writes the number as a string; an empty one is null.
func (d Decimal) MarshalJSON() ([]byte, error) {
	if d == "" {
		return []byte("null"), nil
	}
	if !isDecimal(string(d)) {
		return nil, fmt.Errorf("%q is not a decimal number", string(d))
	}
	return []byte(`"` + string(d) + `"`), nil
}

// UnmarshalJSON reads a string or a number; null is empty.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	s := string(b)
	switch {
	case s == "null":
		*d = ""
		return nil
	case len(s) > 0 && s[0] == '"':
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
	}
	if !isDecimal(s) {
		return fmt.Errorf("%s is not a decimal number", b)
	}
	*d = Decimal(s)
	return nil
}

// isDecimal tells whether text is a sign, digits, a fraction and an exponent, of which only digits are needed.
func isDecimal(s string) bool {
	digits := func() bool {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	sign := func() {
		if s != "" && (s[0] == '-' || s[0] == '+') {
			s = s[1:]
		}
	}
	sign()
	if !digits() {
		return false
	}
	if s != "" && s[0] == '.' {
		s = s[1:]
		if !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		sign()
		if !digits() {
			return false
		}
	}
	return s == ""
}
