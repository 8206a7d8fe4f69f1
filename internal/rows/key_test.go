package rows

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestCanonicalDecimal(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "-0": "0", "0.000": "0", "0e9999": "0", "1": "1e0", "1.0": "1e0", "+1.00e0": "1e0", "100": "1e2", "1e2": "1e2", "1E+2": "1e2",
		"0.001": "1e-3", "00012.3400": "1234e-2", "-12.34": "-1234e-2", "1e9999": "1e9999", "0.1e-9999": "1e-10000", "NaN": "NaN", "-Infinity": "-Infinity",
	} {
		if got := canonicalDecimal(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// Two texts have one canonical form when they are the same number, and only then.
func TestCanonicalDecimalProperty(t *testing.T) {
	number := rapid.StringMatching(`[+-]?[0-9]{1,4}(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?`)
	rapid.Check(t, func(rt *rapid.T) {
		a, b := number.Draw(rt, "a"), number.Draw(rt, "b")
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		if same := canonicalDecimal(a) == canonicalDecimal(b); same != (x.Cmp(y) == 0) {
			rt.Fatalf("%s and %s: %s, %s", a, b, canonicalDecimal(a), canonicalDecimal(b))
		}
		if z, ok := new(big.Rat).SetString(canonicalDecimal(a)); !ok || z.Cmp(x) != 0 {
			rt.Fatalf("%s is not %s", a, canonicalDecimal(a))
		}
	})
}
