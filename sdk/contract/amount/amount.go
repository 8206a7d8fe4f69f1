package amount

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/fairleadio/fairlead/sdk/ledger"
)

// ErrAmount is what every error about an amount is.
var ErrAmount = errors.New("amount")

// ErrNegative is the [ErrAmount] of a difference that would be less than nothing.
var ErrNegative = fmt.Errorf("%w: less than nothing", ErrAmount)

// Amount is a decimal number that is not negative. The zero value is 0. It does not change.
type Amount struct {
	n      *big.Int // the number without its point, nil for 0
	places int      // how many of its digits stand behind the point
}

// Parse reads an amount that is more than 0, in the one text that it has, such as 10 or 0.25. Errors are [ErrAmount].
func Parse(s string) (Amount, error) {
	if err := ledger.CheckAmount(s); err != nil {
		return Amount{}, fmt.Errorf("%w: %w", ErrAmount, err)
	}
	whole, fraction, _ := strings.Cut(s, ".")
	n, ok := new(big.Int).SetString(whole+fraction, 10)
	if !ok {
		return Amount{}, fmt.Errorf("%w: %q is not a number", ErrAmount, s)
	}
	return Amount{n, len(fraction)}, nil
}

// digits is the number without its point, when it has at least that many places; the caller must not change it.
func (a Amount) digits(places int) *big.Int {
	switch {
	case a.n == nil:
		return new(big.Int)
	case a.places >= places:
		return a.n
	}
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places-a.places)), nil)
	return scale.Mul(scale, a.n)
}

// aligned are two numbers with the same places.
func aligned(a, b Amount) (x, y *big.Int, places int) {
	places = max(a.places, b.places)
	return a.digits(places), b.digits(places), places
}

// Add returns a + b.
func (a Amount) Add(b Amount) Amount {
	x, y, places := aligned(a, b)
	return Amount{new(big.Int).Add(x, y), places}
}

// Sub returns a − b, or [ErrNegative].
func (a Amount) Sub(b Amount) (Amount, error) {
	x, y, places := aligned(a, b)
	if x.Cmp(y) < 0 {
		return Amount{}, fmt.Errorf("%w: %s - %s", ErrNegative, a, b)
	}
	return Amount{new(big.Int).Sub(x, y), places}, nil
}

// Cmp is -1, 0 or 1: a is less than b, the same, or more.
func (a Amount) Cmp(b Amount) int {
	x, y, _ := aligned(a, b)
	return x.Cmp(y)
}

// IsZero tells whether the amount is 0, which no token has.
func (a Amount) IsZero() bool { return a.n == nil || a.n.Sign() == 0 }

// Size is how many digits stand before the point (1 for those below 1) and behind it, without any that are not needed.
func (a Amount) Size() (whole, places int) {
	w, p, _ := strings.Cut(a.String(), ".")
	return len(w), len(p)
}

// String is the one text of the number, such as 10 or 0.25. Only that of 0, and one of more than
// [ledger.MaxAmountDigits] digits, is none that a token may have.
func (a Amount) String() string {
	if a.IsZero() {
		return "0"
	}
	s := a.n.String()
	if missing := a.places + 1 - len(s); missing > 0 {
		s = strings.Repeat("0", missing) + s
	}
	whole, fraction := s[:len(s)-a.places], strings.TrimRight(s[len(s)-a.places:], "0")
	if fraction == "" {
		return whole
	}
	return whole + "." + fraction
}
