package fungible_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/contract/amount"
	"github.com/fairleadio/fairlead/sdk/contract/fungible"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

var (
	gbp = fungible.Kind{Issuer: ledger.Hash{1}, Symbol: "GBP"}
	eur = fungible.Kind{Issuer: ledger.Hash{1}, Symbol: "EUR"}
	// other has the symbol of another issuer.
	other = fungible.Kind{Issuer: ledger.Hash{2}, Symbol: "GBP"}
)

func holding(t *testing.T, k fungible.Kind, s string) fungible.Holding {
	t.Helper()
	a, err := amount.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return fungible.Holding{Kind: k, Amount: a}
}

func TestMoved(t *testing.T) {
	h := func(k fungible.Kind, amounts ...string) (out []fungible.Holding) {
		for _, a := range amounts {
			out = append(out, holding(t, k, a))
		}
		return out
	}
	most := strings.Repeat("9", 100)
	for name, c := range map[string]struct {
		in, out []fungible.Holding
		want    error
	}{
		"whole":              {h(gbp, "10"), h(gbp, "10"), nil},
		"split":              {h(gbp, "10"), h(gbp, "9.99", "0.01"), nil},
		"merged":             {h(gbp, "0.1", "0.2"), h(gbp, "0.3"), nil},
		"no digit is lost":   {h(gbp, most, "0."+most[:99]), h(gbp, most, "0."+most[:99]), nil},
		"one digit is lost":  {h(gbp, most, "0."+most[:99]), h(gbp, most, "0."+most[:98]), fungible.ErrConservation},
		"more":               {h(gbp, "10"), h(gbp, "10", "0.000000000000000001"), fungible.ErrConservation},
		"less":               {h(gbp, "10"), h(gbp, "9.999999999999999999"), fungible.ErrConservation},
		"out of nothing":     {nil, h(gbp, "1"), fungible.ErrNothing},
		"into nothing":       {h(gbp, "1"), nil, fungible.ErrNothing},
		"of another symbol":  {h(eur, "10"), h(gbp, "10"), fungible.ErrNothing},
		"of another issuer":  {h(other, "10"), h(gbp, "10"), fungible.ErrNothing},
		"a swap":             {slices.Concat(h(eur, "1"), h(gbp, "2")), slices.Concat(h(gbp, "2"), h(eur, "1")), nil},
		"a swap of portions": {slices.Concat(h(eur, "1"), h(gbp, "2")), slices.Concat(h(gbp, "1"), h(eur, "2")), fungible.ErrConservation},
		"two issuers":        {slices.Concat(h(other, "1"), h(gbp, "2")), slices.Concat(h(gbp, "1"), h(other, "2")), fungible.ErrConservation},
	} {
		var got []error
		sums := fungible.Of(c.in, c.out)
		for _, k := range sums.Kinds() {
			got = append(got, sums[k].Moved())
		}
		if err := errors.Join(got...); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestKinds(t *testing.T) {
	sums := fungible.Of([]fungible.Holding{holding(t, other, "1"), holding(t, gbp, "1")}, []fungible.Holding{holding(t, eur, "1")})
	if got := sums.Kinds(); !slices.Equal(got, []fungible.Kind{eur, gbp, other}) {
		t.Errorf("%v", got)
	}
	if got := gbp.String(); got != "GBP of 010000000000" {
		t.Error(got)
	}
}
