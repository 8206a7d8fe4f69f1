package amount_test

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/contract/amount"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

func TestParse(t *testing.T) {
	for _, s := range []string{"1", "10", "0.25", "0.000000000000000001", strings.Repeat("9", 100), "1." + strings.Repeat("3", 99)} {
		a, err := amount.Parse(s)
		if err != nil || a.String() != s {
			t.Errorf("%s: %s, %v", s, a, err)
		}
	}
	for _, s := range []string{
		"", "0", "0.0", "00", "01", "1.", ".5", "1.0", "0.50", "-1", "+1", "1e3", "0x10", "1_000", "1,000", " 1", "1 ", "1\n",
		"١", "１", "NaN", "Inf", "1/2", "1.2.3", strings.Repeat("9", 102),
	} {
		if a, err := amount.Parse(s); !errors.Is(err, amount.ErrAmount) {
			t.Errorf("%q: %s, %v", s, a, err)
		}
	}
}

func TestZero(t *testing.T) {
	var zero amount.Amount
	one, err := amount.Parse("1")
	if err != nil {
		t.Fatal(err)
	}
	same, err := one.Sub(one)
	if err != nil || !same.IsZero() || same.String() != "0" || !zero.IsZero() || zero.Add(one).Cmp(one) != 0 || same.Cmp(zero) != 0 {
		t.Errorf("%s, %s, %v", same, zero, err)
	}
	if _, err := zero.Sub(one); !errors.Is(err, amount.ErrNegative) || !errors.Is(err, amount.ErrAmount) {
		t.Errorf("%v", err)
	}
}

func TestSize(t *testing.T) {
	for s, want := range map[string][2]int{"1": {1, 0}, "0.25": {1, 2}, "1234.5": {4, 1}} {
		a, err := amount.Parse(s)
		if whole, places := a.Size(); err != nil || [2]int{whole, places} != want {
			t.Errorf("%s: %d, %d, %v", s, whole, places, err)
		}
	}
}

// number draws an amount's text.
func number(r *rand.Rand) string {
	for {
		digits := func(n int) string {
			b := make([]byte, n)
			for i := range b {
				b[i] = byte('0' + r.IntN(10))
			}
			return string(b)
		}
		s := digits(1 + r.IntN(30))
		if r.IntN(2) == 0 {
			s += "." + digits(1+r.IntN(30))
		}
		if ledger.CheckAmount(s) == nil {
			return s
		}
	}
}

// Sums and differences are those of fractions, which are exact too.
func TestExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5_000 {
		x, y := number(r), number(r)
		a, err := amount.Parse(x)
		if err != nil {
			t.Fatal(err)
		}
		b, err := amount.Parse(y)
		if err != nil {
			t.Fatal(err)
		}
		p, q := ledger.AmountOf(x), ledger.AmountOf(y)
		if a.Cmp(b) != p.Cmp(q) {
			t.Fatalf("%s against %s: %d", x, y, a.Cmp(b))
		}
		sum := a.Add(b)
		if ledger.AmountOf(sum.String()).Cmp(new(big.Rat).Add(p, q)) != 0 || ledger.CheckAmount(sum.String()) != nil {
			t.Fatalf("%s + %s = %s", x, y, sum)
		}
		back, err := sum.Sub(b)
		if err != nil || back.String() != x || a.String() != x || b.String() != y {
			t.Fatalf("%s + %s - %s = %s, %v", x, y, y, back, err)
		}
		if _, err := a.Sub(b); (err != nil) != (p.Cmp(q) < 0) {
			t.Fatalf("%s - %s: %v", x, y, err)
		}
	}
}

// FuzzParse reads texts that nobody writes: what is taken is the one text of its number.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"1", "0.25", "0", "1.0", "-1", "1e9", "١"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := amount.Parse(s)
		if (err == nil) != (ledger.CheckAmount(s) == nil) {
			t.Fatalf("%q: %v", s, err)
		}
		if err != nil {
			return
		}
		if r, ok := new(big.Rat).SetString(s); a.String() != s || a.IsZero() || !ok || r.Sign() <= 0 {
			t.Fatalf("%q is read as %s", s, a)
		}
	})
}
