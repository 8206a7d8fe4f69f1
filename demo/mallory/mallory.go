// Command mallory is the application of a member who cheats: it takes tokens as everybody does, and pays with one of them as
// often as it is asked to, whatever became of it. It asks nobody for a claim and does not look whether the token is spent.
// Everything else is right, for what is wrong in itself never gets as far as to the notary.
package main

import (
	"encoding/pem"
	"fmt"
	"time"

	"github.com/fairleadio/fairlead/apps/tokens/token"
	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/contract/exact"
	"github.com/fairleadio/fairlead/sdk/finality"
	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/native"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// receiving is the protocol of apps/tokens by which a member is paid.
const receiving = "tokens-receive"

// window is how long the notary may accept a transaction: short, so that what was refused is soon known to be nothing.
const window = 10 * time.Minute

func init() {
	exact.Learn[token.Token]()
	exact.Learn[token.Of]()
	contract.Register(token.Contract, token.Verify)
	flow.Register("mallory-pay", pay)
	flow.Responder(receiving, func(ctx *flow.Context, s *flow.Session) error {
		_, err := finality.Receive(ctx, s, nil)
		return err
	})
}

// main is for debugging: on the platform it is never called.
func main() { native.Main() }

// paying is the argument of flow mallory-pay.
type paying struct {
	// To is the X.500 name of who is paid.
	To string `json:"to"`
	// Token is the token to pay with, as TRANSACTION:INDEX; empty for the first that is not spent.
	Token string `json:"token"`
}

// paid is its result.
type paid struct {
	Transaction string `json:"transaction"`
	// Token is the token that was paid with, whole.
	Token  string       `json:"token"`
	Amount flow.Decimal `json:"amount"`
}

// pay gives a whole token to somebody.
func pay(ctx *flow.Context, in paying) (paid, error) {
	s, err := chosen(ctx, in.Token)
	if err != nil {
		return paid{}, err
	}
	t, err := token.Read(s.State)
	if err != nil {
		return paid{}, err
	}
	to, err := ctx.Member(in.To)
	if err != nil {
		return paid{}, err
	}
	if len(to.LedgerKeys) == 0 {
		return paid{}, flow.Errorf("no-key", "%s has no ledger key", to.X500Name)
	}
	n, err := notaryOf(ctx)
	if err != nil {
		return paid{}, err
	}
	given := t
	given.Owner, given.Tag = ledger.PublicKey(to.LedgerKeys[0]), ""
	output, err := given.State()
	if err != nil {
		return paid{}, err
	}
	command, err := token.Command(token.Transfer, token.Of{Issuer: t.Issuer, Symbol: t.Symbol})
	if err != nil {
		return paid{}, err
	}
	metadata, err := vault.Metadata(ctx)
	if err != nil {
		return paid{}, err
	}
	tx, err := ledger.New(ledger.Content{
		Metadata: metadata, Notary: n, Window: ledger.TimeWindow{UntilUs: ctx.Now().Add(window).UnixMicro()}, Signatories: []ledger.PublicKey{t.Owner},
		Inputs: []ledger.StateRef{s.Ref}, Outputs: []ledger.State{output}, Commands: []ledger.Command{command},
	}, ledger.Salt(ctx.RandomBytes(len(ledger.Salt{}))))
	if err != nil {
		return paid{}, err
	}
	own, err := vault.Sign(ctx, t.Owner, tx.ID())
	if err != nil {
		return paid{}, err
	}
	session, err := ctx.OpenSession(to.X500Name, receiving)
	if err != nil {
		return paid{}, err
	}
	if _, err := finality.Finalise(ctx, tx, own, session); err != nil {
		return paid{}, err
	}
	return paid{Transaction: tx.ID().String(), Token: s.Ref.String(), Amount: flow.Decimal(t.Amount)}, nil
}

// chosen is the state of a token: the one that is named, spent or not.
func chosen(ctx *flow.Context, name string) (vault.State, error) {
	var found []vault.State
	if name == "" {
		page, err := vault.Unconsumed(ctx, token.Type, vault.Page{Limit: 1})
		if err != nil {
			return vault.State{}, err
		}
		found = page.States
	} else {
		ref, err := ledger.ParseStateRef(name)
		if err != nil {
			return vault.State{}, flow.Errorf("bad-input", "token: %s", err)
		}
		if found, err = vault.Resolve(ctx, ref); err != nil {
			return vault.State{}, err
		}
	}
	if len(found) == 0 {
		return vault.State{}, flow.Errorf("not-enough-tokens", "there is no token")
	}
	return found[0], nil
}

// notaryOf is the group's notary.
func notaryOf(ctx *flow.Context) (ledger.Notary, error) {
	members, err := ctx.Members()
	if err != nil {
		return ledger.Notary{}, err
	}
	for _, m := range members {
		block, _ := pem.Decode([]byte(m.Context[fmt.Sprintf(notary.PropertyKey, 0)]))
		if service := m.Context[notary.PropertyService]; service != "" && block != nil {
			return ledger.Notary{Name: service, Key: block.Bytes}, nil
		}
	}
	return ledger.Notary{}, flow.Errorf("no-notary", "the group has no notary")
}
