package main

import (
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/finality"
	"github.com/fairleadio/fairlead/sdk/flowtest"
)

// What is wrong with an argument is said by its field, with what is right.
func TestErrorsNameTheField(t *testing.T) {
	w := newWorld(t)
	w.issue(w.alice, "10")
	bob := w.bob.Name()
	money := func(change func(*Money)) Money {
		m := w.gbp("1")
		change(&m)
		return m
	}
	name := func(n string) Money { return money(func(m *Money) { m.Issuer = n }) }
	for _, c := range []struct {
		class string
		in    any
		typ   string
		text  string
	}{
		{"tokens-pay", Paying{To: "Bob", Money: w.gbp("1")}, "invalid-argument", `field to is "Bob": `},
		{"tokens-pay", Paying{To: "O=Nobody, L=Oslo, C=NO", Money: w.gbp("1")}, "not-found", `field to is "O=Nobody, L=Oslo, C=NO": `},
		{"tokens-pay", Paying{Money: w.gbp("1")}, "bad-input", "field to is empty: it is the X.500 name of a member"},
		{"tokens-pay", Paying{To: bob, Money: name("Mint")}, "invalid-argument", `field issuer is "Mint": `},
		{"tokens-pay", Paying{To: bob, Money: name("")}, "bad-input", "field issuer is empty"},
		{"tokens-pay", Paying{To: bob, Money: money(func(m *Money) { m.Symbol = "" })}, "bad-input", "field symbol has 0 bytes, 1 to "},
		{"tokens-pay", Paying{To: bob, Money: money(func(m *Money) { m.Symbol = "\x1b[31mD" })}, "bad-input", `field symbol "\x1b[31mD": letters and digits`},
		{"tokens-pay", Paying{To: bob, Money: money(func(m *Money) { m.Amount = "1e3" })}, "bad-input", `field amount is "1e3": it is a number more than 0 in plain digits`},
		{"tokens-pay", Paying{To: bob, Money: money(func(m *Money) { m.Issuer = bob })}, notEnough, "1 GBP are asked, 0 available, of the issuer with key "},
		{"tokens-redeem", money(func(m *Money) { m.Symbol = "G P" }), "bad-input", "field symbol"},
		{"tokens-issue", Issuing{To: bob, Symbol: "GBP", Amount: "1", Notary: "O=Other, L=Oslo, C=NO"}, "no-notary", "field notary is the X.500 name of a member with a key of category NOTARY"},
		{"tokens-offer", Offering{To: bob, Give: w.gbp("1")}, "bad-input", "field take.amount"},
		{"tokens-offer", Offering{To: bob, Give: money(func(m *Money) { m.Symbol = "" }), Take: w.eur("1")}, "bad-input", "field give.symbol"},
		{"tokens-offer", Offering{To: w.alice.Name(), Give: w.gbp("1"), Take: w.eur("1")}, "bad-input", "field to is this member itself"},
		{"tokens-swap", Swapping{}, "bad-input", "field pay.amount"},
		{"tokens-swap", Swapping{Pay: w.gbp("1"), Get: w.eur("1")}, "bad-input", "field with is empty"},
		{"tokens-swap", Swapping{With: bob, Offer: "nonsense", Pay: w.gbp("1"), Get: w.eur("1")}, "session-error", `there is no offer "nonsense" for `},
	} {
		w.refused(w.alice, c.class, c.in, c.typ, c.text)
	}
}

// Two notaries' tokens are not spent together: the balance has them apart, and who has too little of each is told of both.
func TestTokensOfTwoNotaries(t *testing.T) {
	w := newWorld(t)
	second := w.net.Member("O=Second, L=London, C=GB")
	second.NewKey("NOTARY", "notary")
	w.refused(w.bank, "tokens-issue", Issuing{To: w.alice.Name(), Symbol: "GBP", Amount: "5"}, "bad-input", "name one in field notary")
	for _, n := range []*flowtest.Member{w.notary, second} {
		w.must(w.bank, "tokens-issue", Issuing{To: w.alice.Name(), Symbol: "GBP", Amount: "5", Notary: n.Name()})
	}
	var all []Held
	w.alice.Start("tokens-balance", Which{}).Wait().Result(t, &all)
	if len(all) != 2 || all[0].Notary != w.notary.Name() || all[1].Notary != second.Name() || all[0].Amount != "5" || all[0].Issuer != w.bank.Name() || all[1].Issuer != w.bank.Name() {
		t.Errorf("%+v", all)
	}
	_, err := w.run(w.alice, "tokens-pay", Paying{To: w.bob.Name(), Money: w.gbp("8")})
	if err == nil || err.Type != notEnough || !strings.Contains(err.Message, w.notary.Name()) || !strings.Contains(err.Message, second.Name()+": what has different notaries is not spent together") {
		t.Errorf("%v", err)
	}
}

// What an offerer has is its own business: who takes the offer is told that it cannot be given, and not what there is.
func TestOfferOfWhatIsNotThere(t *testing.T) {
	w := newWorld(t)
	w.must(w.mint, "tokens-issue", Issuing{To: w.bob.Name(), Symbol: "EUR", Amount: "50"})
	w.issue(w.alice, "10")
	var o Offered
	w.bob.Start("tokens-offer", Offering{w.alice.Name(), w.eur("7000"), w.gbp("1")}).Wait().Result(t, &o)
	_, err := w.run(w.alice, "tokens-swap", Swapping{With: w.bob.Name(), Offer: o.Offer, Pay: w.gbp("1"), Get: w.eur("7000")})
	if err == nil || !strings.Contains(err.Message, "cannot give now what it has offered") || strings.Contains(err.Message, "50") {
		t.Errorf("%v", err)
	}
	w.bob.Start("tokens-offer", Offering{w.alice.Name(), w.eur("7"), w.gbp("1")}).Wait().Result(t, &o)
	w.refused(w.alice, "tokens-swap", Swapping{With: w.bob.Name(), Offer: o.Offer, Pay: w.gbp("1"), Get: w.eur("8")}, otherOffer, "gives something else than 8 EUR: 7 EUR")
}

// Nobody takes tokens that it could not spend, whichever way they come: of a later version of the application, and of an earlier
// one that its own does not take states of.
func TestTokensOfAnotherVersion(t *testing.T) {
	for name, c := range map[string]struct {
		payers, takers, then flowtest.Package
		want                 string
	}{
		"a later one":    {version("1.1.0", "1.0.0"), version("1.0.0", ""), version("1.1.0", "1.0.0"), "was made by package tokens 1.1.0, which is later than version 1.0.0: upgrade the virtual node to 1.1.0 or later"},
		"an earlier one": {version("1.0.0", ""), version("1.1.0", ""), version("1.2.0", "1.0.0"), "was made by package tokens 1.0.0, and version 1.1.0 takes only states of its own: it has no compatible_from"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, m := range []*flowtest.Member{w.bank, w.alice} {
				m.Install(c.payers)
			}
			for _, m := range []*flowtest.Member{w.mint, w.bob} {
				m.Install(c.takers)
			}
			w.issue(w.alice, "10")
			w.must(w.mint, "tokens-issue", Issuing{To: w.bob.Name(), Symbol: "EUR", Amount: "5"})
			pay := Paying{To: w.bob.Name(), Money: w.gbp("3")}
			w.refused(w.alice, "tokens-pay", pay, finality.ErrRefused.Type, "it could keep output 0 and not consume it, which "+c.want)
			w.refused(w.bank, "tokens-issue", Issuing{To: w.bob.Name(), Symbol: "GBP", Amount: "1"}, finality.ErrRefused.Type, c.want)
			// An exchange gives such tokens, too: whoever has the other version takes the offer, or makes it.
			for _, x := range []struct {
				makes, takes *flowtest.Member
				give, get    Money
			}{{w.bob, w.alice, w.eur("2"), w.gbp("1")}, {w.alice, w.bob, w.gbp("1"), w.eur("2")}} {
				var o Offered
				x.makes.Start("tokens-offer", Offering{x.takes.Name(), x.give, x.get}).Wait().Result(t, &o)
				if f, err := w.run(x.takes, "tokens-swap", Swapping{With: x.makes.Name(), Offer: o.Offer, Pay: x.get, Get: x.give}); err == nil || !strings.Contains(err.Message, " was made by package tokens ") {
					t.Errorf("an exchange that %s offers: %+v, %v", x.makes.Name(), f, err)
				}
			}
			w.net.Advance(window)
			for _, m := range []*flowtest.Member{w.alice, w.bob} {
				w.must(m, "tokens-repair", Repairing{})
				m.Install(c.then)
			}
			w.must(w.alice, "tokens-pay", pay)
			w.must(w.bob, "tokens-pay", Paying{To: w.alice.Name(), Money: w.gbp("1")})
			w.has(map[*flowtest.Member]string{w.alice: "8 GBP"})
			if got := w.balance(w.bob); got != "5 EUR, 2 GBP" && got != "2 GBP, 5 EUR" { // in the order of issuers' keys
				t.Errorf("Bob has %s", got)
			}
		})
	}
}

// version is one of this application's packages.
func version(v, from string) flowtest.Package {
	return flowtest.Package{Name: "tokens", Version: v, Signer: "bank", CompatibleFrom: from, File: []byte(v + from)}
}
