package main

import (
	"slices"
	"strings"
	"testing"
)

// Both sides of a payment see the same; whoever has no part in it sees nothing.
func TestLook(t *testing.T) {
	w := newWorld(t)
	w.issue(w.alice, "100")
	paid := w.must(w.alice, "tokens-pay", Paying{To: w.bob.Name(), Money: w.gbp("30.5")})
	for _, m := range []string{w.alice.Name(), w.bob.Name(), w.mint.Name()} {
		who := w.net.Member(m)
		var got Looked
		who.Start("tokens-transaction", Looking{Transaction: strings.ToLower(paid.Transaction)}).Wait().Result(t, &got)
		if m == w.mint.Name() {
			if got.Status != "absent" || got.Transaction != paid.Transaction || got.Makes != nil {
				t.Errorf("%s sees %+v", m, got)
			}
			continue
		}
		if got.Status != "verified" || got.Notary != w.notary.Name() || got.Until == nil || len(got.Consumes) != 1 || len(got.Commands) != 1 || got.Commands[0] != "fairlead.Token.transfer" {
			t.Errorf("%s sees %+v", m, got)
		}
		want := []Made{
			{paid.Transaction + ":0", "fairlead.Token", w.bob.Name(), "30.5", "GBP"}, {paid.Transaction + ":1", "fairlead.Token", w.alice.Name(), "69.5", "GBP"},
		}
		if !slices.Equal(got.Makes, want) {
			t.Errorf("%s sees %+v, want %+v", m, got.Makes, want)
		}
		if !slices.Contains(got.Signed, w.alice.Name()) || !slices.Contains(got.Signed, w.notary.Name()) || len(got.Signed) != 2 {
			t.Errorf("%s sees that %q signed", m, got.Signed)
		}
	}
	w.refused(w.alice, "tokens-transaction", Looking{Transaction: "x"}, "bad-input", "transaction")
}
