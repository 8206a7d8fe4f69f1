package token

import (
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// random draws a transaction that is often right: one or two kinds, what is consumed divided anew, and then perhaps
// something changed.
func random(r *rand.Rand) plan {
	owners := []ledger.PublicKey{alice, bob, carol}
	owner := func() ledger.PublicKey { return owners[r.IntN(len(owners))] }
	kinds := []Token{{Symbol: "GBP", Issuer: bank}, {Symbol: "EUR", Issuer: bank}, {Symbol: "GBP", Issuer: mint}}
	r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	cents := func(n int64) string { return new(big.Rat).SetFrac64(n, 100).FloatString(2) }
	of := func(k Token, n int64) Token {
		k.Owner, k.Amount = owner(), trimmed(cents(n))
		return k
	}
	var p plan
	need := map[string]bool{}
	for _, k := range kinds[:1+r.IntN(2)] {
		what := []string{Issue, Transfer, Transfer, Transfer, Redeem}[r.IntN(5)]
		p.say = append(p.say, say(what, k.Issuer, k.Symbol))
		var sum int64
		for range 1 + r.IntN(3) {
			n := 1 + r.Int64N(500)
			sum += n
			if t := of(k, n); what != Issue {
				p.in, need[string(t.Owner)] = append(p.in, state(t)), true
			} else {
				p.out = append(p.out, state(t))
			}
		}
		if what == Transfer {
			for sum > 0 {
				n := min(sum, 1+r.Int64N(500))
				p.out, sum = append(p.out, state(of(k, n))), sum-n
			}
		} else {
			need[string(k.Issuer)] = true
		}
	}
	for _, k := range []ledger.PublicKey{alice, bob, carol, bank, mint} {
		if need[string(k)] || r.IntN(3) == 0 {
			p.signed = append(p.signed, k)
		}
	}
	for range r.IntN(3) {
		p = spoil(r, p)
	}
	return p
}

// trimmed is an amount with two places, without zeros that are not needed.
func trimmed(s string) string {
	for s[len(s)-1] == '0' {
		s = s[:len(s)-1]
	}
	if s[len(s)-1] == '.' {
		s = s[:len(s)-1]
	}
	return s
}

// spoil changes something, which may be harmless.
func spoil(r *rand.Rand, p plan) plan {
	some := func(all []ledger.State) *ledger.State {
		if len(all) == 0 {
			return &ledger.State{}
		}
		return &all[r.IntN(len(all))]
	}
	s := some(p.out)
	if r.IntN(3) == 0 {
		s = some(p.in)
	}
	var t Token
	_ = json.Unmarshal(s.Payload, &t) // a state that is none stays none
	switch r.IntN(14) {
	case 0:
		t.Amount = []string{"0.01", "1", "5", "1.0", "0", "-1", "99999999999999999999.5"}[r.IntN(7)]
		*s = state(t)
	case 1:
		t.Symbol = []string{"GBP", "EUR", "gbp", ""}[r.IntN(4)]
		*s = state(t)
	case 2:
		t.Issuer = []ledger.PublicKey{bank, mint, alice, nil}[r.IntN(4)]
		*s = state(t)
	case 3:
		t.Owner = []ledger.PublicKey{alice, bob, carol, bank, nil}[r.IntN(5)]
		*s = state(t)
	case 4:
		s.Payload = append(s.Payload, ' ')
	case 5:
		s.Participants = append(s.Participants, carol)
	case 6:
		s.Token = nil
	case 7:
		s.Contract = deed
	case 8:
		s.TypeVersion++
	case 9:
		if len(p.signed) > 0 {
			p.signed = p.signed[1:]
		}
	case 10:
		p.say = p.say[1:]
	case 11:
		p.say = append(p.say, say([]string{Issue, Transfer, Redeem}[r.IntN(3)], bank, "GBP"))
	case 12:
		p.seen, p.in = append(p.seen, p.in...), nil
	case 13:
		p.out = append(p.out, state(t))
	}
	if len(p.say) == 0 {
		p.say = []ledger.Command{{Type: "nothing", TypeVersion: 1}}
	}
	return p
}

// Whatever the contract accepts: the value of each issuer and symbol stays what it was unless the issuer signs and a
// command says so, every token is worth something and told so to token selection, and whoever owned what is consumed
// signs. All of it is found out here by other means than the contract's.
func TestRandomTransactions(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	counts := map[string]int{}
	for range 20_000 {
		p := random(r)
		tx := p.transaction()
		if Verify(tx) != nil {
			counts["refused"]++
			continue
		}
		counts["accepted"]++
		sums := map[[2]string]*big.Rat{}
		add := func(s ledger.State, sign int64) map[string]any {
			var m map[string]any
			if err := json.Unmarshal(s.Payload, &m); err != nil {
				t.Fatal(err)
			}
			n, ok := new(big.Rat).SetString(m["amount"].(string))
			if !ok || n.Sign() <= 0 || s.Token == nil || s.Token.Amount != m["amount"] || s.Token.Symbol != m["symbol"] || len(s.Participants) != 1 || s.Contract != Contract {
				t.Fatalf("%s is accepted", s.Payload)
			}
			k := [2]string{m["issuer"].(string), m["symbol"].(string)}
			if sums[k] == nil {
				sums[k] = new(big.Rat)
			}
			sums[k].Add(sums[k], n.Mul(n, big.NewRat(sign, 1)))
			return m
		}
		signs := func(tx *contract.Transaction, key any) bool {
			for _, k := range tx.Signatories {
				if b, err := json.Marshal(k); err == nil && string(b) == `"`+key.(string)+`"` {
					return true
				}
			}
			return false
		}
		for _, s := range tx.Inputs {
			if m := add(s.State, -1); !signs(tx, m["owner"]) {
				t.Fatalf("%s is spent without its owner", s.Payload)
			}
		}
		for _, s := range tx.Outputs {
			add(s, 1)
		}
		for k, sum := range sums {
			want := 0
			for _, c := range tx.Commands {
				var m map[string]string
				if json.Unmarshal(c.Payload, &m) == nil && m["issuer"] == k[0] && m["symbol"] == k[1] {
					want = map[string]int{Issue: 1, Redeem: -1}[c.Type]
					counts[c.Type]++
				}
			}
			if sum.Sign() != want || want != 0 && !signs(tx, k[0]) {
				t.Fatalf("%s more of %v: %+v", sum.RatString(), k, p)
			}
		}
	}
	t.Log(counts)
	for _, what := range []string{"accepted", "refused", Issue, Transfer, Redeem} {
		if counts[what] < 1000 {
			t.Errorf("%d of %s: the random transactions are not worth much", counts[what], what)
		}
	}
}

// FuzzRead reads states that nobody writes: what is taken is the state of its token.
func FuzzRead(f *testing.F) {
	for _, x := range []Token{gbp(alice, "10"), eur(bob, "0.25"), {Amount: "1", Symbol: "X", Issuer: bank, Owner: bob, Tag: "t"}} {
		s := state(x)
		f.Add(s.Payload, []byte(s.Participants[0]), s.Token.Amount, s.Token.Symbol, s.Token.Tag)
	}
	f.Fuzz(func(t *testing.T, payload, participant []byte, amount, symbol, tag string) {
		s := state(gbp(alice, "10"))
		s.Payload, s.Participants = payload, []ledger.PublicKey{participant}
		s.Token.Amount, s.Token.Symbol, s.Token.Tag, s.Token.Owner = amount, symbol, tag, ledger.KeyID(participant)
		x, err := Read(s)
		if err != nil {
			return
		}
		again, err := x.State()
		if err != nil || string(again.Payload) != string(payload) || again.Token.Amount != amount || again.Token.Symbol != symbol || s.Check() != nil {
			t.Fatalf("%q is read as %+v, %v", payload, x, err)
		}
	})
}
