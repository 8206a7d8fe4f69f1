package token

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/contract/amount"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

func number(t testing.TB, s string) amount.Amount {
	t.Helper()
	a, err := amount.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// held are tokens of alice.
func held(amounts ...string) (out []Held) {
	for i, a := range amounts {
		out = append(out, Held{ledger.StateRef{Transaction: hash("source"), Index: uint32(i)}, gbp(alice, a)})
	}
	return out
}

func amounts(all []Held) (out []string) {
	for _, h := range all {
		out = append(out, h.Token.Amount)
	}
	return out
}

func TestPick(t *testing.T) {
	for name, c := range map[string]struct {
		have []string
		need string
		want []string
		err  error
	}{
		"exactly one":       {[]string{"5", "10", "20"}, "10", []string{"10"}, nil},
		"the smallest that": {[]string{"50", "5", "10", "20"}, "11", []string{"20"}, nil},
		"the largest ones":  {[]string{"1", "5", "3", "4"}, "8.5", []string{"5", "4"}, nil},
		"all":               {[]string{"1", "2", "3"}, "6", []string{"3", "2", "1"}, nil},
		"short":             {[]string{"1", "2", "3"}, "6.01", nil, ErrShort},
		"nothing there":     {nil, "1", nil, ErrShort},
		"scattered":         {slices.Repeat([]string{"1"}, MaxInputs+1), "101", nil, ErrScattered},
		"just not":          {slices.Repeat([]string{"1"}, MaxInputs+1), "100", slices.Repeat([]string{"1"}, MaxInputs), nil},
	} {
		got, err := Pick(held(c.have...), number(t, c.need))
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || !slices.Equal(amounts(got), c.want) {
			t.Errorf("%s: %v, %v", name, amounts(got), err)
		}
	}
	if _, err := Pick(held("1"), amount.Amount{}); !errors.Is(err, ErrPayment) {
		t.Errorf("nothing to pay: %v", err)
	}
	mixed := held("1", "2")
	mixed[1].Token.Symbol = "EUR"
	if _, err := Pick(mixed, number(t, "1")); !errors.Is(err, ErrPayment) {
		t.Errorf("of two kinds: %v", err)
	}
	if _, err := Pick(append(held("1"), held("1")...), number(t, "2")); !errors.Is(err, ErrPayment) {
		t.Errorf("a state twice: %v", err)
	}
	if _, err := Pick(held("1", "-1"), number(t, "1")); !errors.Is(err, ErrToken) {
		t.Errorf("a token that is none: %v", err)
	}
}

func TestSplit(t *testing.T) {
	pay := func(to ledger.PublicKey, a string) Payment { return Payment{To: to, Amount: number(t, a)} }
	got, err := Split(held("10", "5"), alice, pay(bob, "12"))
	if err != nil || !slices.EqualFunc(got, []Token{gbp(bob, "12"), gbp(alice, "3")}, same) {
		t.Errorf("with change: %+v, %v", got, err)
	}
	got, err = Split(held("10", "5"), alice, pay(bob, "15"))
	if err != nil || !slices.EqualFunc(got, []Token{gbp(bob, "15")}, same) {
		t.Errorf("without: %+v, %v", got, err)
	}
	got, err = Split(held("10"), carol, pay(bob, "1"), pay(bob, "2"), Payment{carol, number(t, "0.5"), "rent"})
	rent := gbp(carol, "0.5")
	rent.Tag = "rent"
	if err != nil || !slices.EqualFunc(got, []Token{gbp(bob, "1"), gbp(bob, "2"), rent, gbp(carol, "6.5")}, same) {
		t.Errorf("to several: %+v, %v", got, err)
	}
	mixed := held("10", "5")
	mixed[1].Token.Issuer = mint
	largest := strings.Repeat("9", MaxWhole)
	for name, c := range map[string]struct {
		held []Held
		pay  []Payment
		err  error
	}{
		"too much":          {held("10", "5"), []Payment{pay(bob, "15.01")}, ErrShort},
		"together too much": {held("10"), []Payment{pay(bob, "6"), pay(bob, "6")}, ErrShort},
		"nothing consumed":  {nil, []Payment{pay(bob, "1")}, ErrPayment},
		"nothing paid":      {held("1"), nil, ErrPayment},
		"pays nothing":      {held("1"), []Payment{{To: bob}}, ErrToken},
		"to nobody":         {held("1"), []Payment{pay(nil, "1")}, ErrToken},
		"bad tag":           {held("1"), []Payment{{bob, number(t, "1"), "a b"}}, ErrToken},
		"two kinds":         {mixed, []Payment{pay(bob, "1")}, ErrPayment},
		"a state twice":     {append(held("1"), held("1")...), []Payment{pay(bob, "2")}, ErrPayment},
		"change too large":  {held(largest, largest), []Payment{pay(bob, "1")}, ErrToken},
	} {
		if got, err := Split(c.held, alice, c.pay...); !errors.Is(err, c.err) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func same(a, b Token) bool {
	return a.Amount == b.Amount && a.Symbol == b.Symbol && a.Tag == b.Tag && string(a.Owner) == string(b.Owner) && string(a.Issuer) == string(b.Issuer)
}

// What is picked is enough and no more than needed, and what comes of it is what went in, which the contract says too.
func TestRandomPayments(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	cents := func(n int64) string { return trimmed(new(big.Rat).SetFrac64(n, 100).FloatString(2)) }
	for range 2_000 {
		var have []string
		var total int64
		for range 1 + r.IntN(20) {
			n := 1 + r.Int64N(10_000)
			have, total = append(have, cents(n)), total+n
		}
		need := number(t, cents(1+r.Int64N(total+total/10)))
		picked, err := Pick(held(have...), need)
		if need.Cmp(number(t, cents(total))) > 0 {
			if !errors.Is(err, ErrShort) {
				t.Fatalf("%v for %s: %v", have, need, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Split(picked[1:], alice, Payment{To: bob, Amount: need}); err == nil {
			t.Fatalf("%v for %s: the first of %v is not needed", have, need, amounts(picked))
		}
		made, err := Split(picked, alice, Payment{To: bob, Amount: need})
		if err != nil || made[0].Amount != need.String() {
			t.Fatalf("%v for %s: %v, %v", have, need, made, err)
		}
		p := plan{say: []ledger.Command{say(Transfer, bank, "GBP")}, signed: []ledger.PublicKey{alice}}
		for _, h := range picked {
			p.in = append(p.in, state(h.Token))
		}
		for _, x := range made {
			s, err := x.State()
			if err != nil {
				t.Fatal(err)
			}
			p.out = append(p.out, s)
		}
		if err := Verify(p.transaction()); err != nil {
			t.Fatal(err)
		}
	}
}
