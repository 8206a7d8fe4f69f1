package token

import (
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/sdk/contract/fungible"
	"github.com/fairleadio/fairlead/sdk/contract/issuable"
	"github.com/fairleadio/fairlead/sdk/contract/ownable"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// What errors say.
var (
	unconserved = fungible.ErrConservation.Error()
	nothing     = fungible.ErrNothing.Error()
	unsigned    = ownable.ErrOwner.Error()
	noIssuer    = issuable.ErrIssuer.Error()
	noIssue     = issuable.ErrIssue.Error()
	noRedeem    = issuable.ErrRedemption.Error()
	unsaid      = ErrUnsaid.Error()
)

// aboutValue are ways to make value, or to lose it.
func aboutValue() map[string]attempt {
	of := func(in, out []ledger.State, refused string) attempt {
		return attempt{plan: transfer().but(func(p *plan) { p.in, p.out = in, out }), refused: refused}
	}
	mintGBP := func(owner ledger.PublicKey, amount string) Token {
		return Token{Amount: amount, Symbol: "GBP", Issuer: mint, Owner: owner}
	}
	out := map[string]attempt{
		"more comes out":          of(states(gbp(alice, "10")), states(gbp(bob, "6"), gbp(alice, "5")), unconserved),
		"a little more":           of(states(gbp(alice, "10")), states(gbp(bob, "10"), gbp(alice, "0.000000000000000001")), unconserved),
		"less comes out":          of(states(gbp(alice, "10")), states(gbp(bob, "6")), unconserved),
		"a little less":           of(states(gbp(alice, "10")), states(gbp(bob, "9.999999999999999999")), unconserved),
		"out of nothing":          of(nil, states(gbp(bob, "6")), nothing),
		"into nothing":            of(states(gbp(alice, "10")), nil, nothing),
		"modulo 2^64":             of(states(gbp(alice, "10")), states(gbp(bob, "18446744073709551616"), gbp(bob, "10")), unconserved),
		"as a float, whole":       of(states(gbp(alice, "9007199254740992")), states(gbp(bob, "9007199254740993")), unconserved),
		"as a float, fraction":    of(states(gbp(alice, "0.1"), gbp(alice, "0.2")), states(gbp(bob, "0.300000000000000004")), unconserved),
		"changed issuer":          of(states(gbp(alice, "10")), states(mintGBP(bob, "10")), unsaid),
		"changed symbol":          of(states(gbp(alice, "10")), states(Token{Amount: "10", Symbol: "USD", Issuer: bank, Owner: bob}), unsaid),
		"symbol in other letters": of(states(gbp(alice, "10")), states(Token{Amount: "10", Symbol: "Gbp", Issuer: bank, Owner: bob}), unsaid),
		"mixed issuers":           of(states(gbp(alice, "10"), mintGBP(alice, "5")), states(gbp(bob, "15")), unsaid),
		"issue by transfer":       {plan: issue().but(func(p *plan) { p.say[0] = say(Transfer, bank, "GBP") }), refused: nothing},
		"redeem by transfer":      {plan: redeem().but(func(p *plan) { p.say[0] = say(Transfer, bank, "GBP") }), refused: nothing},
		"transfer by issue":       {plan: transfer().but(func(p *plan) { p.say[0], p.signed = say(Issue, bank, "GBP"), append(p.signed, bank) }), refused: noIssue},
		"transfer by redeem":      {plan: transfer().but(func(p *plan) { p.say[0], p.signed = say(Redeem, bank, "GBP"), append(p.signed, bank) }), refused: noRedeem},
		"looked at is no input": {plan: transfer().but(func(p *plan) {
			p.seen, p.out = states(gbp(alice, "10")), states(gbp(bob, "20"))
		}), refused: unconserved},
		"only looked at": {plan: transfer().but(func(p *plan) { p.seen, p.in = p.in, nil }), refused: nothing},
		"looked at by a redeem": {plan: redeem().but(func(p *plan) {
			p.seen, p.in, p.out = p.in, nil, states(eur(alice, "1"))
			p.say, p.signed = append(p.say, say(Issue, mint, "EUR")), append(p.signed, mint)
		}), refused: noRedeem},
		"issue with inputs": {plan: issue().but(func(p *plan) {
			p.in, p.signed = states(gbp(alice, "10")), append(p.signed, alice)
		}), refused: noIssue},
		"issue of nothing":          {plan: transfer().but(func(p *plan) { p.say, p.signed = append(p.say, say(Issue, mint, "EUR")), append(p.signed, mint) }), refused: noIssue},
		"redeem that makes change":  {plan: redeem().but(func(p *plan) { p.out = states(gbp(alice, "4")) }), refused: noRedeem},
		"redeem that makes more":    {plan: redeem().but(func(p *plan) { p.out = states(gbp(alice, "11")) }), refused: noRedeem},
		"redeem of nothing":         {plan: transfer().but(func(p *plan) { p.say, p.signed = append(p.say, say(Redeem, mint, "EUR")), append(p.signed, mint) }), refused: noRedeem},
		"redeem makes another kind": {plan: redeem().but(func(p *plan) { p.out = states(eur(alice, "10")) }), refused: unsaid},
		"swap with a gain":          {plan: swap().but(func(p *plan) { p.out[1] = state(eur(alice, "7.01")) }), refused: unconserved},
		"swap of portions":          {plan: swap().but(func(p *plan) { p.out = states(gbp(bob, "7"), eur(alice, "10")) }), refused: unconserved},
		"swap that loses a leg":     {plan: swap().but(func(p *plan) { p.out = p.out[:1] }), refused: nothing},
		"many crumbs":               of(states(gbp(alice, "10")), slices.Repeat(states(gbp(bob, "0.000000000000000001")), 200), unconserved),
	}
	// Amounts that are none: refused by the ledger, which looks at the description; by the contract anyway; and by the
	// contract too when the description is a good one.
	for name, a := range map[string]string{
		"none": "", "zero": "0", "zero with places": "0.00", "negative": "-5", "negative zero": "-0", "sign": "+10", "place of nothing": "10.0",
		"zeros before": "010", "no place": "10.", "no whole": ".5", "exponent": "1e1", "huge exponent": "1e1000000000", "hexadecimal": "0xA",
		"underscore": "1_0", "comma": "1,0", "space": " 10", "fraction": "20/2", "fullwidth digits": "１０", "arabic digits": "١٠",
		"infinite": "Inf", "no number": "NaN", "102 digits": strings.Repeat("9", 102),
	} {
		bad := states(gbp(bob, a), gbp(alice, "10"))
		out["amount "+name] = attempt{plan: transfer().but(func(p *plan) { p.out = bad }), refused: "amount", ledger: "amount"}
		hidden := slices.Clone(bad)
		hidden[0].Token = state(gbp(bob, "10")).Token
		out["hidden amount "+name] = attempt{plan: transfer().but(func(p *plan) { p.out = hidden }), refused: "amount"}
	}
	balanced := transfer().but(func(p *plan) { p.out = states(gbp(bob, "15"), gbp(alice, "-5")) })
	out["balanced by a negative"] = attempt{plan: balanced, refused: "amount", ledger: "amount"}
	for name, a := range map[string]string{
		"21 digits": "1" + strings.Repeat("0", MaxWhole), "19 places": "0." + strings.Repeat("0", MaxPlaces) + "1", "100 digits": strings.Repeat("9", 100),
	} {
		out["absurd amount "+name] = of(states(gbp(alice, a)), states(gbp(bob, a)), "digits before the point")
		out["absurd issue "+name] = attempt{plan: issue().but(func(p *plan) { p.out = states(gbp(alice, a)) }), refused: "digits before the point"}
	}
	return out
}

// aboutSignatures are ways to do without somebody.
func aboutSignatures() map[string]attempt {
	by := func(p plan, refused string, signed ...ledger.PublicKey) attempt {
		p.signed = signed
		return attempt{plan: p, refused: refused}
	}
	two := transfer().but(func(p *plan) { p.in, p.out = states(gbp(alice, "1"), gbp(bob, "2")), states(gbp(carol, "3")) })
	return map[string]attempt{
		"transfer by the payee":        by(transfer(), unsigned, bob),
		"transfer by the issuer":       by(transfer(), unsigned, bank),
		"transfer by one of two":       by(two, unsigned, alice),
		"transfer by the other of two": by(two, unsigned, bob),
		"transfer by a longer key":     by(transfer(), unsigned, append(slices.Clone(alice), 0)),
		"transfer by a shorter key":    by(transfer(), unsigned, alice[:len(alice)-1]),
		"transfer by nobody":           {plan: transfer().but(func(p *plan) { p.signed = nil }), refused: unsigned, ledger: "no signatory"},
		"issue by the payee":           by(issue(), noIssuer, alice),
		"issue by another issuer":      by(issue(), noIssuer, mint),
		"redeem without the issuer":    by(redeem(), noIssuer, alice),
		"redeem by another issuer":     by(redeem(), noIssuer, alice, mint),
		"redeem without the owner":     by(redeem(), unsigned, bank),
		"swap without alice":           by(swap(), unsigned, bob),
		"swap without bob":             by(swap(), unsigned, alice),
		"swap by the issuers":          by(swap(), unsigned, bank, mint),
		"two issues, one signs": by(issue().but(func(p *plan) {
			p.out, p.say = append(p.out, state(eur(bob, "5"))), append(p.say, say(Issue, mint, "EUR"))
		}), noIssuer, bank),
		"issue against payment, no mint": by(transfer().but(func(p *plan) {
			p.out, p.say = append(p.out, state(eur(alice, "5"))), append(p.say, say(Issue, mint, "EUR"))
		}), noIssuer, alice),
	}
}
