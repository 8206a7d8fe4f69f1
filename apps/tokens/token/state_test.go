package token

import (
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/sdk/contract/ownable"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// making is a transfer of all whose one output is changed.
func making(refused string, change func(*ledger.State)) attempt {
	s := state(gbp(bob, "10"))
	change(&s)
	return attempt{plan: transfer().but(func(p *plan) { p.out = []ledger.State{s} }), refused: refused}
}

// taking is a transfer of all whose one input is changed.
func taking(refused string, change func(*ledger.State)) attempt {
	s := state(gbp(alice, "10"))
	change(&s)
	return attempt{plan: transfer().but(func(p *plan) { p.in = []ledger.State{s} }), refused: refused}
}

// aboutDescriptions are outputs of which token selection is told what they are not.
func aboutDescriptions() map[string]attempt {
	out := map[string]attempt{}
	for name, c := range map[string]struct {
		change  func(*ledger.Token)
		refused string
	}{
		"amount":            {func(d *ledger.Token) { d.Amount = "11" }, "description has the amount 11, the token 10"},
		"issuer":            {func(d *ledger.Token) { d.Issuer = ledger.KeyID(mint) }, "description has the issuer"},
		"symbol":            {func(d *ledger.Token) { d.Symbol = "EUR" }, "description has the symbol EUR"},
		"owner":             {func(d *ledger.Token) { d.Owner = ledger.KeyID(carol) }, "description has the owner"},
		"no owner":          {func(d *ledger.Token) { d.Owner = ledger.Hash{} }, "description has the owner"},
		"type":              {func(d *ledger.Token) { d.Type = "cash" }, "description has the type cash"},
		"tag":               {func(d *ledger.Token) { d.Tag = "x" }, "description has the tag x"},
		"priority":          {func(d *ledger.Token) { d.Priority = 1 }, "description has the priority 1"},
		"more than one":     {func(d *ledger.Token) { d.Amount, d.Symbol = "1", "EUR" }, "description has the symbol EUR"},
		"of a worthier one": {func(d *ledger.Token) { d.Amount = strings.Repeat("9", 100) }, "description has the amount 999"},
	} {
		change := func(s *ledger.State) {
			d := *s.Token
			c.change(&d)
			s.Token = &d
		}
		out["output, "+name], out["input, "+name] = making(c.refused, change), taking(c.refused, change)
	}
	none := func(s *ledger.State) { s.Token = nil }
	out["output, none"], out["input, none"] = making("no token description", none), taking("no token description", none)
	return out
}

// aboutStates are states that are not what they seem.
func aboutStates() map[string]attempt {
	refusedByLedger := func(a attempt, ledger string) attempt {
		a.ledger = ledger
		return a
	}
	tied := func(s *ledger.State) { s.Encumbrance = "tied" }
	out := map[string]attempt{
		"no participant":          refusedByLedger(making("participants", func(s *ledger.State) { s.Participants = nil }), "no participants"),
		"participant twice":       refusedByLedger(making("participants", func(s *ledger.State) { s.Participants = []ledger.PublicKey{bob, bob} }), "there twice"),
		"empty participant":       refusedByLedger(making("participants", func(s *ledger.State) { s.Participants = []ledger.PublicKey{bob, nil} }), "is empty"),
		"version 0":               refusedByLedger(making("version 0", func(s *ledger.State) { s.TypeVersion = 0 }), "no version"),
		"encumbered alone":        refusedByLedger(making("encumbrance", tied), "encumbrance"),
		"another notary's tokens": {plan: transfer().but(func(p *plan) { p.from = "O=Other, L=London, C=GB" }), rule: "has the notary O=Other"},
		"counterfeit beside":      {plan: transfer().but(func(p *plan) { s := state(gbp(bob, "1000")); s.Contract = deed; p.out = append(p.out, s) }), refused: "its contract is"},
		"counterfeit for tokens":  taking("its contract is", func(s *ledger.State) { s.Contract = deed }),
		"described as a token": {plan: transfer().but(func(p *plan) {
			s := state(gbp(bob, "1000"))
			s.Contract, s.Type = deed, "Deed"
			p.out = append(p.out, s)
		}), refused: "its contract is"},
		"nobody's contract beside": {plan: transfer().but(func(p *plan) {
			s := state(gbp(bob, "1000"))
			s.Contract = "com.example.Nobody"
			p.out = append(p.out, s)
		}), refused: "its contract is"},
		"tied to its change": {plan: transfer().but(func(p *plan) { tied(&p.out[0]); tied(&p.out[1]) }), refused: "encumbrance"},
		"tied tokens consumed": {plan: transfer().but(func(p *plan) {
			p.in = states(gbp(alice, "6"), gbp(alice, "4"))
			tied(&p.in[0])
			tied(&p.in[1])
		}), refused: "encumbrance"},
		"tied to another's state": {plan: transfer().but(func(p *plan) {
			tied(&p.out[0])
			p.out = append(p.out, ledger.State{Type: "Deed", TypeVersion: 1, Contract: deed, Encumbrance: "tied", Payload: []byte(`1`), Participants: []ledger.PublicKey{alice}})
		}), refused: "encumbrance"},
	}
	for name, c := range map[string]struct {
		refused string
		change  func(*ledger.State)
	}{
		"contract":                 {"its contract is", func(s *ledger.State) { s.Contract = "com.example.Token" }},
		"contract, other letters":  {"its contract is", func(s *ledger.State) { s.Contract = "fairlead.token" }},
		"contract, a space":        {"its contract is", func(s *ledger.State) { s.Contract = Contract + " " }},
		"type":                     {"its type is", func(s *ledger.State) { s.Type = "Cash" }},
		"type, other letters":      {"its type is", func(s *ledger.State) { s.Type = "Fairlead.Token" }},
		"type, unseen":             {"its type is", func(s *ledger.State) { s.Type = Type + "\u200b" }},
		"newer version":            {"version 2 of its type", func(s *ledger.State) { s.TypeVersion = Version + 1 }},
		"far version":              {"version 4294967295 of its type", func(s *ledger.State) { s.TypeVersion = 1<<32 - 1 }},
		"another participant":      {"participant must be its owner", func(s *ledger.State) { s.Participants = []ledger.PublicKey{carol} }},
		"one more participant":     {"participant must be its owner", func(s *ledger.State) { s.Participants = append(s.Participants, carol) }},
		"the issuer a participant": {"participant must be its owner", func(s *ledger.State) { s.Participants = append([]ledger.PublicKey{bank}, s.Participants...) }},
	} {
		out["output, "+name], out["input, "+name] = making(c.refused, c.change), taking(c.refused, c.change)
	}
	// Keys that nobody has.
	for name, bad := range map[string]ledger.PublicKey{
		"none": nil, "a name": []byte("O=Bob, L=Paris, C=FR, a name and no key"), "a byte more": append(slices.Clone(bob), 0), "a byte less": bob[:len(bob)-1],
		"zeros": make([]byte, 44), "huge": slices.Concat([]byte{0x30, 0x82, 0x10, 0x00}, make([]byte, 0x1000)),
	} {
		refused := ownable.ErrKey.Error()
		if name == "huge" {
			refused = "payload"
		}
		owned := making(refused, func(s *ledger.State) { *s = state(gbp(bad, "10")) })
		if name == "none" {
			owned.ledger = "participant"
		}
		out["owner, "+name] = owned
		out["issuer, "+name] = attempt{plan: issue().but(func(p *plan) {
			p.out, p.say = states(Token{Amount: "1", Symbol: "GBP", Issuer: bad, Owner: alice}), []ledger.Command{say(Issue, bad, "GBP")}
		}), refused: refused}
	}
	return out
}

// aboutPayloads are payloads that two readers may read as two things.
func aboutPayloads() map[string]attempt {
	right := string(state(gbp(bob, "10")).Payload)
	rest := strings.TrimPrefix(right, `{"amount":"10",`)
	owner := right[strings.Index(right, `"owner":"`)+len(`"owner":"`) : len(right)-2]
	out := map[string]attempt{}
	for name, raw := range map[string]string{
		"null": `null`, "a list": `[` + right + `]`, "a text": `"token"`, "nothing in it": `{}`,
		"unknown member":         `{"amount":"10","more":1,` + rest,
		"unknown member behind":  strings.TrimSuffix(right, "}") + `,"z":null}`,
		"amount twice":           `{"amount":"1000","amount":"10",` + rest,
		"amount twice, same":     `{"amount":"10","amount":"10",` + rest,
		"amount again behind":    strings.TrimSuffix(right, "}") + `,"amount":"10"}`,
		"owner twice":            strings.Replace(right, `"owner"`, `"owner":"AAAA","owner"`, 1),
		"other letters":          `{"Amount":"10",` + rest,
		"both letters":           `{"AMOUNT":"1000","amount":"10",` + rest,
		"letters that fold":      strings.Replace(right, "symbol", "\u017fymbol", 1), // U+017F folds to s
		"another order":          strings.TrimSuffix(`{`+rest, "}") + `,"amount":"10"}`,
		"no amount":              `{` + rest,
		"amount a number":        `{"amount":10,` + rest,
		"amount a list":          `{"amount":["10"],` + rest,
		"amount null":            `{"amount":null,` + rest,
		"empty tag":              strings.TrimSuffix(right, "}") + `,"tag":""}`,
		"null tag":               strings.TrimSuffix(right, "}") + `,"tag":null}`,
		"space before":           " " + right,
		"space behind":           right + " ",
		"space within":           strings.Replace(right, ":", ": ", 1),
		"line's end":             right + "\n",
		"escaped digit":          `{"amount":"1\u0030",` + rest,
		"escaped member":         `{"\u0061mount":"10",` + rest,
		"escaped symbol":         strings.Replace(right, "GBP", `\u0047BP`, 1),
		"escaped slash":          strings.Replace(right, owner, `\/`+owner[1:], 1),
		"lone surrogate":         strings.Replace(right, "GBP", `GBP\ud800`, 1),
		"base64 in lines":        strings.Replace(right, owner, owner[:10]+`\n`+owner[10:], 1),
		"base64 without end":     strings.Replace(right, owner, strings.TrimRight(owner, "="), 1),
		"base64 with stray bits": strings.Replace(right, owner, strayBits(owner), 1),
		"owner a list of bytes":  strings.Replace(right, `"`+owner+`"`, `[48,42]`, 1),
		"a long unknown member":  `{"more":"` + strings.Repeat("a", 2*MaxPayload) + `",` + right[1:],
		"deep":                   strings.Repeat("[", 2000) + strings.Repeat("]", 2000),
		"huge":                   `{"more":"` + strings.Repeat("a", 100_000) + `",` + right[1:],
	} {
		out[name] = making("payload", func(s *ledger.State) { s.Payload = []byte(raw) })
		if name == "null" || name == "nothing in it" {
			out[name] = making("token", func(s *ledger.State) { s.Payload = []byte(raw) })
		}
	}
	for name, raw := range map[string]string{
		"empty": "", "trailing data": right + right, "trailing comma": strings.TrimSuffix(right, "}") + ",}", "comment": right + "//",
		"byte order mark": "\ufeff" + right, "zero byte": right + "\x00", "not UTF-8": strings.Replace(right, "GBP", "GB\xff", 1),
		"overlong UTF-8": strings.Replace(right, "GBP", "GB\xc1\x90", 1),
	} {
		a := making("payload", func(s *ledger.State) { s.Payload = []byte(raw) })
		a.ledger = "not JSON in UTF-8"
		out[name] = a
	}
	for name, symbol := range map[string]string{
		"empty": "", "cyrillic": "GВP", "fullwidth": "ＧＢＰ", "unseen": "GBP\u200b", "right to left": "\u202eGBP", "combining": "GBP\u0301", "zero": "GB\x00P",
		"space": "GBP ", "inner space": "G P", "line": "GBP\n", "quote": `G"P`, "angle": "G<P", "dash first": "-GBP", "slash": "GBP/USD", "long": strings.Repeat("G", MaxSymbol+1),
		"very long": strings.Repeat("G", 1025),
	} {
		t, tagged := gbp(alice, "10"), gbp(alice, "10")
		t.Symbol = symbol
		a := attempt{plan: issue().but(func(p *plan) { p.out, p.say = states(t), []ledger.Command{say(Issue, bank, symbol)} }), refused: "symbol"}
		if name == "empty" || name == "very long" {
			a.ledger = "symbol"
		}
		out["symbol "+name] = a
		if symbol == "" || name == "long" {
			continue
		}
		tagged.Tag = symbol
		a = attempt{plan: issue().but(func(p *plan) { p.out = states(tagged) }), refused: "tag"}
		if name == "very long" {
			a.ledger = "tag"
		}
		out["tag "+name] = a
	}
	return out
}

// strayBits changes bits of base64 that stand for nothing: the text differs, the bytes do not.
func strayBits(s string) string {
	at := strings.IndexByte(s, '=') - 1
	return s[:at] + string(s[at]+1) + s[at+1:]
}
