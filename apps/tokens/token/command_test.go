package token

import (
	"errors"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/ledger"
)

// aboutCommands are commands that say nothing, too much, or two things.
func aboutCommands() map[string]attempt {
	right := say(Transfer, bank, "GBP")
	saying := func(refused string, commands ...ledger.Command) attempt {
		return attempt{plan: transfer().but(func(p *plan) { p.say = commands }), refused: refused}
	}
	of := func(change func(*ledger.Command)) ledger.Command {
		c := right
		change(&c)
		return c
	}
	payload := func(s string) ledger.Command { return of(func(c *ledger.Command) { c.Payload = []byte(s) }) }
	others := ledger.Command{Type: "com.example.Deed.transfer", TypeVersion: 1}
	contradiction := ErrContradiction.Error()
	refusedByLedger := func(a attempt, ledger string) attempt {
		a.ledger = ledger
		return a
	}
	kind := strings.TrimSuffix(string(right.Payload), "}")
	return map[string]attempt{
		"none":                  refusedByLedger(saying(unsaid), "no command"),
		"another contract's":    saying(unsaid, others),
		"twice":                 saying(contradiction, right, right),
		"twice, others between": saying(contradiction, right, others, right),
		"issue and transfer":    {plan: transfer().but(func(p *plan) { p.say, p.signed = append(p.say, say(Issue, bank, "GBP")), append(p.signed, bank) }), refused: contradiction},
		"redeem and issue": {plan: transfer().but(func(p *plan) {
			p.say, p.signed = []ledger.Command{say(Redeem, bank, "GBP"), say(Issue, bank, "GBP")}, append(p.signed, bank)
		}), refused: contradiction},
		"of another symbol":      saying(unsaid, say(Transfer, bank, "EUR")),
		"of another issuer":      saying(unsaid, say(Transfer, mint, "GBP")),
		"of one kind more":       saying(nothing, right, say(Transfer, mint, "EUR")),
		"of one kind for two":    {plan: swap().but(func(p *plan) { p.say = p.say[:1] }), refused: unsaid},
		"of one kind, twice":     {plan: swap().but(func(p *plan) { p.say[1] = p.say[0] }), refused: contradiction},
		"unknown":                saying("is not one of", say("fairlead.Token.burn", bank, "GBP")),
		"unknown beside":         saying("is not one of", right, say("fairlead.Token.burn", bank, "GBP")),
		"a name that begins so":  saying("is not one of", say(Transfer+"s", bank, "GBP")),
		"no name":                saying("is not one of", say("fairlead.Token.", bank, "GBP")),
		"other letters":          saying(unsaid, say("fairlead.token.transfer", bank, "GBP")),
		"other letters, ours":    saying("is not one of", say("fairlead.Token.Transfer", bank, "GBP")),
		"newer version":          saying("version 2", of(func(c *ledger.Command) { c.TypeVersion = 2 })),
		"version 0":              refusedByLedger(saying("version 0", of(func(c *ledger.Command) { c.TypeVersion = 0 })), "no version"),
		"nothing said":           saying("payload", payload("")),
		"null":                   saying("payload", payload("null")),
		"no kind":                saying("payload", payload("{}")),
		"unknown member":         saying("payload", payload(kind+`,"amount":"10"}`)),
		"symbol twice":           saying("payload", payload(kind+`,"symbol":"GBP"}`)),
		"other letters in it":    saying("payload", payload(strings.Replace(string(right.Payload), "symbol", "Symbol", 1))),
		"space in it":            saying("payload", payload(string(right.Payload)+" ")),
		"trailing data in it":    refusedByLedger(saying("payload", payload(string(right.Payload)+"{}")), "not JSON"),
		"huge":                   saying("payload", payload(`"`+strings.Repeat("a", 100_000)+`"`)),
		"issuer that is no key":  saying("not a public key", right, say(Transfer, []byte("O=Bank, L=London, C=GB, with no key"), "GBP")),
		"symbol that is no word": saying("symbol", right, say(Transfer, bank, "G B P")),
	}
}

func TestCommand(t *testing.T) {
	for _, what := range []string{Issue, Transfer, Redeem} {
		c, err := Command(what, Of{bank, "GBP"})
		if err != nil || c.Type != what || c.TypeVersion != Version {
			t.Errorf("%+v, %v", c, err)
		}
	}
	for _, of := range []Of{{}, {Issuer: bank}, {Symbol: "GBP"}, {bank, "G B"}, {[]byte("bank"), "GBP"}} {
		if c, err := Command(Issue, of); !errors.Is(err, ErrCommand) {
			t.Errorf("%+v: %+v, %v", of, c, err)
		}
	}
	if _, err := Command("burn", Of{bank, "GBP"}); !errors.Is(err, ErrCommand) {
		t.Errorf("%v", err)
	}
}
