package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/apps/tokens/token"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
	"github.com/fairleadio/fairlead/sdk/tokens"
)

// Flows that only these tests have.
func init() {
	flow.Register("test-claim", func(ctx *flow.Context, in Money) (any, error) {
		a, err := amountOf("amount", in.Amount)
		if err != nil {
			return nil, err
		}
		issuers, err := keysOf(ctx, "issuer", in.Issuer)
		if err != nil {
			return nil, err
		}
		if _, err := choose(ctx, issuers, in.Symbol, "", a); err != nil {
			return nil, err
		}
		return nil, ctx.Sleep(2 * patience)
	})
	flow.Register("test-grab", grab)
}

// grab tries to claim an amount, again and again, from when this member has more than one token, and tells what it got.
func grab(ctx *flow.Context, in Money) (string, error) {
	for range 500 {
		all, err := purses(ctx)
		if err != nil {
			return "", err
		}
		for _, p := range all {
			if p.kind.Symbol != in.Symbol || len(p.held) < 2 {
				continue
			}
			claim, err := tokens.Claim(ctx, tokens.Pool{Type: token.Type, Symbol: in.Symbol, Issuer: p.kind.Issuer, Notary: p.notary.Name}, string(in.Amount), tokens.Options{})
			if !errors.Is(err, tokens.ErrNotEnough) {
				return claim.Amount, err
			}
		}
	}
	return "", nil
}

// Several payments at once: each has tokens of its own, and one that has none left waits for the change of the others, for
// this member has enough. What it does not have it does not wait for.
func TestSeveralAtOnce(t *testing.T) {
	w := newWorld(t)
	w.issue(w.alice, "10")
	w.issue(w.alice, "10")
	pay := func(to *flowtest.Member, a string) *flowtest.Flow {
		return w.alice.Start("tokens-pay", Paying{To: to.Name(), Money: w.gbp(a)})
	}
	began := w.net.Now()
	one, two, three, four := pay(w.bob, "6"), pay(w.mint, "7"), pay(w.mint, "1"), pay(w.mint, "21")
	if d := four.Wait(); d.Err == nil || d.Err.Type != notEnough || w.net.Now().Sub(began) >= firstWait {
		t.Errorf("more than there is: %v, after %s", d.Err, w.net.Now().Sub(began))
	}
	a, b, c := one.Wait(), two.Wait(), three.Wait()
	w.net.Settle()
	if a.Err != nil || b.Err != nil || c.Err != nil {
		t.Errorf("%v, %v, %v", a.Err, b.Err, c.Err)
	}
	w.has(map[*flowtest.Member]string{w.alice: "6 GBP", w.bob: "6 GBP", w.mint: "8 GBP"})
}

// A flow that holds tokens for long keeps others from paying, and the error says so.
func TestHeldForLong(t *testing.T) {
	w := newWorld(t)
	w.issue(w.alice, "10")
	holding := w.alice.Start("test-claim", w.gbp("3"))
	w.refused(w.alice, "tokens-pay", Paying{To: w.bob.Name(), Money: w.gbp("4")}, notEnough, "has 10, and other flows of it have held that")
	holding.Wait()
	w.must(w.alice, "tokens-pay", Paying{To: w.bob.Name(), Money: w.gbp("4")})
	w.has(map[*flowtest.Member]string{w.alice: "6 GBP", w.bob: "4 GBP"})
}

// What a redemption or an exchange has split off for itself is its own from the beginning: a payment that is made meanwhile
// cannot take it, and neither is refused by the notary.
func TestSplitIsKept(t *testing.T) {
	for name, begin := range map[string]func(w *world) *flowtest.Flow{
		"redeem": func(w *world) *flowtest.Flow { return w.alice.Start("tokens-redeem", w.gbp("4")) },
		"swap": func(w *world) *flowtest.Flow {
			w.must(w.mint, "tokens-issue", Issuing{To: w.bob.Name(), Symbol: "EUR", Amount: "20"})
			var o Offered
			w.alice.Start("tokens-offer", Offering{w.bob.Name(), w.gbp("4"), w.eur("5")}).Wait().Result(t, &o)
			return w.bob.Start("tokens-swap", Swapping{With: w.alice.Name(), Offer: o.Offer, Pay: w.eur("5"), Get: w.gbp("4")})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.issue(w.alice, "10")
			first := begin(w)
			second := w.alice.Start("test-grab", w.gbp("6.5")) // what is split off, and the rest
			a, b := first.Wait(), second.Wait()
			var grabbed string
			b.Result(t, &grabbed)
			if a.Err != nil || grabbed != "" {
				t.Errorf("%v; meanwhile another flow got %s", a.Err, grabbed)
			}
			if got := w.balance(w.alice); !strings.Contains(got, "6 GBP") {
				t.Errorf("Alice has %q", got)
			}
		})
	}
}
