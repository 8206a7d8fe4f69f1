package main

import (
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/finality"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
)

// repair runs a repair of a member and of what is older than it.
func (w *world) repair(m *flowtest.Member, in Repairing) (out finality.Repaired) {
	w.t.Helper()
	o := m.Start("tokens-repair", in).Wait()
	w.net.Settle()
	o.Result(w.t, &out)
	return out
}

// Whatever step of whoever fails, repair finishes the payment at both: paid, or given back, and never both.
func TestRepair(t *testing.T) {
	injected := &flow.Error{Type: "killed", Message: "injected"}
	paid, kept, younger := 0, 0, 0
	for _, who := range []string{"O=Alice, L=London, C=GB", "O=Bob, L=Paris, C=FR", "O=Notary, L=London, C=GB"} {
		for n := 1; ; n++ {
			w := newWorld(t)
			w.issue(w.alice, "10")
			m := w.net.Member(who)
			m.FailStep(n, injected)
			before := m.Steps()
			_, failure := w.run(w.alice, "tokens-pay", Paying{To: w.bob.Name(), Money: w.gbp("10")})
			if m.Steps()-before < n {
				break // it has no such step
			}
			later := w.net.Now().Add(time.Hour)
			for _, m := range []*flowtest.Member{w.alice, w.bob} {
				if early := w.repair(m, Repairing{}); len(early.Verified)+len(early.Invalid)+len(early.Open) > 0 {
					t.Errorf("%s at step %d: %+v was finished, which is younger than ten minutes", who, n, early)
				}
				w.repair(m, Repairing{Until: &later})
				for id, when := range w.repair(m, Repairing{}).Younger {
					younger++
					if !strings.Contains(when, w.net.Now().Add(window).UTC().Format("2006-01-02T")) {
						t.Errorf("%s is taken %s", id, when)
					}
				}
			}
			w.net.Advance(2 * window)
			for _, m := range []*flowtest.Member{w.alice, w.bob} {
				if left := w.repair(m, Repairing{}); len(left.Open)+len(left.Younger) > 0 || len(left.Why) != len(left.Invalid) {
					t.Errorf("%s fails at step %d: %+v at %s, want nothing open, and why each is invalid", who, n, left, m.Name())
				}
			}
			switch alice, bob := w.balance(w.alice), w.balance(w.bob); {
			case alice == "" && bob == "10 GBP":
				paid++
			case alice == "10 GBP" && bob == "" && failure != nil:
				kept++
			default:
				t.Errorf("%s fails at step %d (%v): alice has %q, bob %q", who, n, failure, alice, bob)
			}
		}
	}
	t.Logf("%d payments that were disturbed are paid, %d are not", paid, kept)
	if younger == 0 {
		t.Error("no repair left one alone")
	}
	if paid == 0 || kept == 0 {
		t.Error("the failures hit one side of the notary's signature only")
	}
}
