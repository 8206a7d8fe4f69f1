// Command token is a module of a contract alone: tokens of an issuer, for the verification worker's tests.
package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

func init() { contract.Register("com.example.Token", verify) }

func main() {}

// Token is the payload of a state.
type Token struct {
	Issuer   []byte `json:"issuer"`
	Owner    []byte `json:"owner"`
	Currency string `json:"currency"`
	Amount   int64  `json:"amount"`
}

// kind is what cannot be mixed.
type kind struct{ issuer, currency string }

// verify lets issuers issue, owners move and both redeem; nothing comes of nothing.
func verify(tx *contract.Transaction) error {
	var errs []error
	in, out := map[kind]int64{}, map[kind]int64{}
	for i, s := range tx.Inputs {
		t, err := contract.Payload[Token](s.Payload)
		if err != nil {
			errs = append(errs, contract.Input(i).Errorf("%w", err))
			continue
		}
		in[kind{string(t.Issuer), t.Currency}] += t.Amount
		if !tx.Signed(t.Owner) {
			errs = append(errs, contract.Input(i).Errorf("its owner does not sign"))
		}
	}
	for i, s := range tx.Outputs {
		t, err := contract.Payload[Token](s.Payload)
		switch {
		case err != nil:
			errs = append(errs, contract.Output(i).Errorf("%w", err))
			continue
		case t.Amount <= 0:
			errs = append(errs, contract.Output(i).Errorf("its amount is %d, it must be more than 0", t.Amount))
		case !owns(s, t.Owner):
			errs = append(errs, contract.Output(i).Errorf("its owner is no participant"))
		}
		out[kind{string(t.Issuer), t.Currency}] += t.Amount
	}
	return errors.Join(append(errs, balance(tx, in, out))...)
}

func owns(s ledger.State, owner []byte) bool {
	for _, p := range s.Participants {
		if bytes.Equal(p, owner) {
			return true
		}
	}
	return false
}

// balance is what the command allows of sums.
func balance(tx *contract.Transaction, in, out map[kind]int64) error {
	if len(tx.Commands) != 1 {
		return fmt.Errorf("the transaction has %d commands, it must have one", len(tx.Commands))
	}
	kinds := map[kind]bool{}
	for k := range in {
		kinds[k] = true
	}
	for k := range out {
		kinds[k] = true
	}
	for k := range kinds {
		switch c := tx.Commands[0]; {
		case c.Type == "move" && in[k] != out[k]:
			return contract.Command(0).Errorf("%d %s come of %d", out[k], k.currency, in[k])
		case c.Type == "issue" && (out[k] <= in[k] || !tx.Signed([]byte(k.issuer))):
			return contract.Command(0).Errorf("an issue makes more than there was, and the issuer signs it")
		case c.Type == "redeem" && (out[k] >= in[k] || !tx.Signed([]byte(k.issuer))):
			return contract.Command(0).Errorf("a redemption leaves less than there was, and the issuer signs it")
		case c.Type != "move" && c.Type != "issue" && c.Type != "redeem":
			return contract.Command(0).Errorf("%s is not one of issue, move and redeem", c.Type)
		}
	}
	return nil
}
