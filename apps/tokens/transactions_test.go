package main

import (
	"testing"

	"github.com/fairleadio/fairlead/sdk/flow"
)

// What is open is listed until repair has finished it.
func TestList(t *testing.T) {
	w := newWorld(t)
	w.issue(w.alice, "10")
	list := func(in Listing) (out []Listed) {
		t.Helper()
		w.alice.Start("tokens-transactions", in).Wait().Result(t, &out)
		return out
	}
	if got := list(Listing{}); got == nil || len(got) != 0 {
		t.Errorf("open: %+v", got)
	}
	w.bob.FailStep(1, flow.Errorf("killed", "injected"))
	if _, err := w.run(w.alice, "tokens-pay", Paying{To: w.bob.Name(), Money: w.gbp("10")}); err == nil {
		t.Fatal("the payment is not disturbed")
	}
	open := list(Listing{})
	if len(open) != 1 || open[0].Status != "unverified" || open[0].Repairs != 0 || !open[0].Stored.Equal(w.net.Now()) {
		t.Fatalf("open: %+v", open)
	}
	w.net.Advance(window / 2)
	later := w.net.Now()
	w.repair(w.alice, Repairing{Until: &later})
	if got := list(Listing{}); len(got) != 1 || got[0].Repairs != 1 {
		t.Errorf("tried: %+v", got)
	}
	w.net.Advance(2 * window)
	w.repair(w.alice, Repairing{})
	if got := list(Listing{Status: "invalid"}); len(list(Listing{})) != 0 || len(got) != 1 || got[0].Transaction != open[0].Transaction {
		t.Errorf("invalid: %+v", got)
	}
	w.issue(w.alice, "1")
	if all, one := list(Listing{Status: "verified"}), list(Listing{Status: "verified", Limit: 1}); len(all) != 2 || len(one) != 1 || one[0] != all[0] {
		t.Errorf("verified: %+v, the first of them %+v", all, one)
	}
	for _, in := range []Listing{{Status: "lost"}, {Limit: -1}, {Limit: 1001}} {
		w.refused(w.alice, "tokens-transactions", in, "bad-input", "use ")
	}
}
