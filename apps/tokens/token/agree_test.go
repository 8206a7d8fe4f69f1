package token

import (
	"errors"
	"testing"

	"github.com/fairleadio/fairlead/sdk/ledger"
)

func resolved(t *testing.T, p plan) *ledger.Resolved {
	t.Helper()
	tx, sources, err := p.build()
	if err != nil {
		t.Fatal(err)
	}
	r, err := ledger.Resolve(tx, sources...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func only(k ledger.PublicKey) Mine {
	return func(o ledger.PublicKey) bool { return string(o) == string(k) }
}

func TestAgreeToReceive(t *testing.T) {
	if err := AgreeToReceive(resolved(t, transfer()), only(bob)); err != nil {
		t.Error(err)
	}
	if err := AgreeToReceive(resolved(t, swap()), only(bob)); !errors.Is(err, ErrDisagree) {
		t.Errorf("who is paid signs: %v", err)
	}
	// Counterfeits of another contract, which is alone in the transaction, so that the contract of tokens is not asked.
	false1, false2 := state(gbp(bob, "5")), state(gbp(bob, "5"))
	false1.Contract = deed
	false2.Contract, false2.Type = deed, "Deed"
	for _, s := range []ledger.State{false1, false2} {
		p := plan{out: []ledger.State{s}, say: []ledger.Command{{Type: "x", TypeVersion: 1}}, signed: []ledger.PublicKey{alice}}
		if err := AgreeToReceive(resolved(t, p), only(bob)); !errors.Is(err, ErrToken) {
			t.Errorf("a counterfeit: %v", err)
		}
	}
}

func TestAgreeToRedeem(t *testing.T) {
	for name, c := range map[string]struct {
		plan plan
		want error
	}{
		"a redemption":  {redeem(), nil},
		"of another's":  {redeem().but(func(p *plan) { p.in = states(eur(alice, "1")) }), ErrDisagree},
		"an issue":      {issue(), ErrDisagree},
		"with an issue": {redeem().but(func(p *plan) { p.out, p.say = states(eur(alice, "1")), append(p.say, say(Issue, mint, "EUR")) }), ErrDisagree},
		"with a command more": {redeem().but(func(p *plan) {
			p.say = append(p.say, ledger.Command{Type: "com.example.Deed.transfer", TypeVersion: 1})
		}), ErrDisagree},
		"of one's own":      {redeem().but(func(p *plan) { p.in = append(p.in, state(gbp(bank, "1"))) }), ErrDisagree},
		"of what is none":   {redeem().but(func(p *plan) { p.in[0].Contract = deed }), ErrToken},
		"a transfer":        {transfer(), ErrDisagree},
		"beside other ends": {redeem().but(func(p *plan) { p.in = append(p.in, state(eur(bob, "1"))) }), ErrDisagree},
	} {
		if err := AgreeToRedeem(resolved(t, c.plan), only(bank)); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Bob gives 7 EUR for 10 GBP.
func TestAgreeToSwap(t *testing.T) {
	value := func(of Token) Value { return Value{of.Kind(), number(t, of.Amount)} }
	give, take := value(eur(bob, "7")), value(gbp(bob, "10"))
	for name, c := range map[string]struct {
		plan  plan
		named []int
		want  error
	}{
		"as agreed":     {swap(), []int{1}, nil},
		"with change":   {swap().but(func(p *plan) { p.in[1], p.out = state(eur(bob, "9")), append(p.out, state(eur(bob, "2"))) }), []int{1}, nil},
		"in portions":   {swap().but(func(p *plan) { p.out = states(gbp(bob, "4"), gbp(bob, "6"), eur(alice, "7")) }), []int{1}, nil},
		"less change":   {swap().but(func(p *plan) { p.in[1], p.out = state(eur(bob, "9")), append(p.out, state(eur(bob, "1.99"))) }), []int{1}, ErrDisagree},
		"less is paid":  {swap().but(func(p *plan) { p.out[0] = state(gbp(bob, "9.99")) }), []int{1}, ErrDisagree},
		"nothing paid":  {swap().but(func(p *plan) { p.out = p.out[1:] }), []int{1}, ErrDisagree},
		"other money":   {swap().but(func(p *plan) { x := gbp(bob, "10"); x.Issuer = mint; p.out[0] = state(x) }), []int{1}, ErrDisagree},
		"not named":     {swap(), []int{0}, ErrDisagree},
		"one more":      {swap().but(func(p *plan) { p.in = append(p.in, state(eur(bob, "3"))); p.out[1] = state(eur(alice, "10")) }), []int{1}, ErrDisagree},
		"another kind":  {swap().but(func(p *plan) { x := eur(bob, "5"); x.Symbol = "USD"; p.in = append(p.in, state(x)) }), []int{1, 2}, ErrDisagree},
		"with a redeem": {swap().but(func(p *plan) { p.say[1] = say(Redeem, mint, "EUR") }), []int{1}, ErrDisagree},
		"other states":  {swap().but(func(p *plan) { p.out[0].Contract = deed }), []int{1}, ErrToken},
		"for nothing":   {swap().but(func(p *plan) { p.in, p.out = p.in[1:], p.out[1:] }), []int{0}, ErrDisagree},
	} {
		r := resolved(t, c.plan)
		var named []ledger.StateRef
		for _, i := range c.named {
			named = append(named, r.Inputs()[i].Ref)
		}
		if err := AgreeToSwap(r, only(bob), named, give, take); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
