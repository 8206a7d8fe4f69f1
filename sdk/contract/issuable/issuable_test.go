package issuable_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/contract/amount"
	"github.com/fairleadio/fairlead/sdk/contract/exact"
	"github.com/fairleadio/fairlead/sdk/contract/fungible"
	"github.com/fairleadio/fairlead/sdk/contract/issuable"
	"github.com/fairleadio/fairlead/sdk/contract/ownable"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

func TestIssuer(t *testing.T) {
	one, err := amount.Parse("1")
	if err != nil {
		t.Fatal(err)
	}
	signed := &contract.Transaction{Signatories: []ledger.PublicKey{[]byte("bank")}}
	made, consumed := fungible.Sum{Out: one, Outputs: 1}, fungible.Sum{In: one, Inputs: 1}
	both := fungible.Sum{In: one, Out: one, Inputs: 1, Outputs: 1}
	for name, c := range map[string]struct {
		got, want error
	}{
		"issue":                         {issuable.Issued(signed, []byte("bank"), made), nil},
		"issue by another":              {issuable.Issued(signed, []byte("alice"), made), issuable.ErrIssuer},
		"issue with inputs":             {issuable.Issued(signed, []byte("bank"), both), issuable.ErrIssue},
		"issue of nothing":              {issuable.Issued(signed, []byte("bank"), fungible.Sum{}), issuable.ErrIssue},
		"issue of 0":                    {issuable.Issued(signed, []byte("bank"), fungible.Sum{Outputs: 1}), issuable.ErrIssue},
		"redemption":                    {issuable.Redeemed(signed, []byte("bank"), consumed), nil},
		"redemption by another":         {issuable.Redeemed(signed, []byte("alice"), consumed), issuable.ErrIssuer},
		"redemption that makes outputs": {issuable.Redeemed(signed, []byte("bank"), both), issuable.ErrRedemption},
		"redemption of nothing":         {issuable.Redeemed(signed, []byte("bank"), fungible.Sum{}), issuable.ErrRedemption},
	} {
		if !errors.Is(c.got, c.want) || (c.got == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
}

// coin is the payload of a contract that the parts make.
type coin struct {
	Owner  string `json:"owner"`
	Issuer string `json:"issuer"`
	Symbol string `json:"symbol"`
	Amount string `json:"amount"`
}

// verify is a contract of the parts: one command for all kinds.
func verify(tx *contract.Transaction) error {
	var errs []error
	var owners []ownable.Owned
	issuers := map[fungible.Kind]ledger.PublicKey{}
	read := func(at contract.Component, s ledger.State) (fungible.Holding, coin) {
		c, err := exact.Payload[coin](s.Payload, 1000)
		if err != nil {
			errs = append(errs, at.Wrap(err))
			return fungible.Holding{}, c
		}
		a, err := amount.Parse(c.Amount)
		errs = append(errs, at.Wrap(err), at.Wrap(ownable.Kept(s, []byte(c.Owner))))
		k := fungible.Kind{Issuer: ledger.KeyID([]byte(c.Issuer)), Symbol: c.Symbol}
		issuers[k] = []byte(c.Issuer)
		return fungible.Holding{Kind: k, Amount: a}, c
	}
	var in, out []fungible.Holding
	for i, s := range tx.Inputs {
		h, c := read(contract.Input(i), s.State)
		in, owners = append(in, h), append(owners, ownable.Owned{At: contract.Input(i), Owner: []byte(c.Owner)})
	}
	for i, s := range tx.Outputs {
		h, _ := read(contract.Output(i), s)
		out = append(out, h)
	}
	errs = append(errs, ownable.Signed(tx, owners...))
	sums := fungible.Of(in, out)
	for _, k := range sums.Kinds() {
		switch tx.Commands[0].Type {
		case "issue":
			errs = append(errs, issuable.Issued(tx, issuers[k], sums[k]))
		case "move":
			errs = append(errs, sums[k].Moved())
		case "redeem":
			errs = append(errs, issuable.Redeemed(tx, issuers[k], sums[k]))
		default:
			errs = append(errs, errors.New("an unknown command"))
		}
	}
	return errors.Join(errs...)
}

// random draws a transaction that may be right: few parties and small numbers, so that chance hits what fits.
func random(r *rand.Rand) *contract.Transaction {
	pick := func(all ...string) string { return all[r.IntN(len(all))] }
	symbol, issuer := pick("GBP", "EUR"), pick("bank", "mint")
	state := func() ledger.State {
		c := coin{pick("alice", "bob"), issuer, symbol, pick("1", "2", "0.5", "1.5")}
		switch r.IntN(40) {
		case 0:
			c.Symbol = pick("GBP", "EUR")
		case 1:
			c.Issuer = pick("bank", "mint")
		case 2:
			c.Amount = pick("0", "-1", "1.0", "1e1", "")
		}
		payload, err := exact.Encode(c)
		if err != nil {
			panic(err)
		}
		if r.IntN(60) == 0 {
			payload = append(payload, '\n')
		}
		return ledger.State{Payload: payload, Participants: []ledger.PublicKey{[]byte(c.Owner)}}
	}
	tx := &contract.Transaction{Commands: []ledger.Command{{Type: pick("issue", "move", "move", "redeem")}}}
	for range r.IntN(4) {
		tx.Inputs = append(tx.Inputs, contract.State{State: state()})
	}
	for range r.IntN(4) {
		tx.Outputs = append(tx.Outputs, state())
	}
	for _, k := range []string{"alice", "bob", "bank", "mint"} {
		if r.IntN(4) > 0 {
			tx.Signatories = append(tx.Signatories, []byte(k))
		}
	}
	return tx
}

// What the parts accept conserves value for each issuer and symbol unless the issuer signs, and is signed by the owners of
// all that it consumes. The sums are calculated by other means than the parts do.
func TestRandomTransactions(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	accepted := map[string]int{}
	for range 50_000 {
		tx := random(r)
		if verify(tx) != nil {
			accepted["none"]++
			continue
		}
		accepted[tx.Commands[0].Type]++
		sums := map[[2]string]*big.Rat{}
		add := func(payload []byte, sign int64) coin {
			var c coin
			a := new(big.Rat)
			if err := json.Unmarshal(payload, &c); err != nil {
				t.Fatal(err)
			}
			if _, ok := a.SetString(c.Amount); !ok || a.Sign() <= 0 {
				t.Fatalf("%s is accepted", payload)
			}
			k := [2]string{c.Issuer, c.Symbol}
			if sums[k] == nil {
				sums[k] = new(big.Rat)
			}
			sums[k].Add(sums[k], a.Mul(a, big.NewRat(sign, 1)))
			return c
		}
		for _, s := range tx.Inputs {
			if c := add(s.Payload, -1); !tx.Signed([]byte(c.Owner)) {
				t.Fatalf("%s does not sign", c.Owner)
			}
		}
		for _, s := range tx.Outputs {
			add(s.Payload, 1)
		}
		for k, sum := range sums {
			if want := map[string]int{"issue": 1, "redeem": -1}[tx.Commands[0].Type]; sum.Sign() != want || want != 0 && !tx.Signed([]byte(k[0])) {
				t.Fatalf("%s of %v, command %s: %+v", sum.RatString(), k, tx.Commands[0].Type, tx)
			}
		}
	}
	if len(accepted) != 4 || accepted["move"] < 100 || accepted["issue"] < 100 || accepted["redeem"] < 100 {
		t.Errorf("accepted %v: the random transactions are not worth much", accepted)
	}
	t.Logf("accepted %v", accepted)
}
