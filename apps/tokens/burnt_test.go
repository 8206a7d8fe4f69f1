package main

import (
	"testing"
	"time"

	"github.com/fairleadio/fairlead/apps/tokens/token"
	"github.com/fairleadio/fairlead/sdk/finality"
	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

func init() { flow.Register("test-burn", burn) }

// burn has somebody else's tokens consumed at a notary that verifies nothing, and returns the transaction that did.
func burn(ctx *flow.Context, in []token.Held) (string, error) {
	mine, err := keysOf(ctx, "", ctx.Identity().X500Name)
	if err != nil {
		return "", err
	}
	n, err := notaryNamed(ctx, "")
	if err != nil {
		return "", err
	}
	d := draft{notary: n, inputs: in, signers: mine[:1]}
	if err := d.say(token.Redeem, mine[0], "GBP"); err != nil {
		return "", err
	}
	tx, err := d.build(ctx)
	if err != nil {
		return "", err
	}
	f, err := tx.Filter(ledger.ForNotary())
	if err != nil {
		return "", err
	}
	s, err := ctx.OpenSession(n.Name, notary.Protocol)
	if err != nil {
		return "", err
	}
	b, err := s.SendAndReceiveBytes(notary.Request{Mode: notary.Write, Filtered: f}.Encode())
	if err != nil {
		return "", err
	}
	a, err := notary.DecodeAnswer(b)
	if err == nil && a.Class != notary.Signed {
		err = flow.Errorf("test", "%s", a.Reason)
	}
	return tx.ID().String(), err
}

// What somebody has burnt at the notary stands in the way of one payment, and of no other: it is counted no more.
func TestBurnt(t *testing.T) {
	w := newWorld(t)
	w.issue(w.bob, "9")
	var by string
	w.alice.Start("test-burn", w.held(w.bob)).Wait().Result(t, &by)
	w.issue(w.bob, "5")
	w.refused(w.bob, "tokens-pay", Paying{To: w.alice.Name(), Money: w.gbp("10")}, finality.ErrInvalid.Type, "by transaction "+by)
	w.has(map[*flowtest.Member]string{w.bob: "5 GBP"})
	for range 5 {
		w.must(w.bob, "tokens-pay", Paying{To: w.alice.Name(), Money: w.gbp("1")})
	}
	w.has(map[*flowtest.Member]string{w.bob: "", w.alice: "5 GBP"})
}

// Repair, too, learns what has been burnt, whichever step of the payment that would have failed: the notary remembers why.
func TestBurntBeforeRepair(t *testing.T) {
	open := 0
	for n := 1; ; n++ {
		w := newWorld(t)
		w.issue(w.bob, "9")
		var by string
		w.alice.Start("test-burn", w.held(w.bob)).Wait().Result(t, &by)
		w.issue(w.bob, "5")
		before := w.bob.Steps()
		w.bob.FailStep(n, flow.Errorf("killed", "injected"))
		_, err := w.run(w.bob, "tokens-pay", Paying{To: w.alice.Name(), Money: w.gbp("14")})
		if w.bob.Steps()-before < n {
			break // it has no such step
		}
		later := w.net.Now().Add(time.Hour)
		if left := w.repair(w.bob, Repairing{Until: &later}); err == nil || len(left.Verified) > 0 {
			t.Errorf("step %d: a payment with what is burnt: %v, repaired %+v", n, err, left)
		} else if len(left.Invalid) == 1 {
			open++
			w.has(map[*flowtest.Member]string{w.bob: "5 GBP"})
		}
	}
	if open == 0 {
		t.Error("no payment was open that the notary had refused")
	}
}
