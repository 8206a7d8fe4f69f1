// Command pays is an application whose flows issue tokens, claim them and pay with them.
package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/native"
	"github.com/fairleadio/fairlead/sdk/tokens"
	"github.com/fairleadio/fairlead/sdk/vault"
)

func init() {
	flow.Register("pay", pay)
	contract.Register("Coin", func(*contract.Transaction) error { return nil }) // anybody may do anything
}

func main() { native.Main() }

// order says what a flow does, in this order.
type order struct {
	// Issue are amounts of new tokens.
	Issue []string `json:"issue"`
	// Claim is what is claimed. Spend: the claimed tokens become one, and the claim is released.
	Claim string `json:"claim"`
	Spend bool   `json:"spend"`
}

// receipt is what came of it.
type receipt struct{ Claimed, Total, Available, Error string }

func pay(ctx *flow.Context, in order) (out receipt, err error) {
	pool := tokens.Pool{Type: "Coin", Symbol: "EUR", Issuer: ledger.Hash{7}, Notary: "O=Notary, L=London, C=GB"}
	if len(in.Issue) > 0 {
		if err := issue(ctx, pool, in.Issue, nil); err != nil {
			return out, err
		}
	}
	if in.Claim != "" {
		claim, err := tokens.Claim(ctx, pool, in.Claim, tokens.Options{})
		switch {
		case errors.Is(err, tokens.ErrNotEnough):
			out.Error = tokens.ErrNotEnough.Type
		case err != nil:
			return out, err
		}
		out.Claimed = claim.Amount
		if in.Spend {
			if err := issue(ctx, pool, []string{claim.Amount}, claim.Refs()); err != nil {
				return out, err
			}
			if err := tokens.Release(ctx, claim, claim.Refs()...); err != nil {
				return out, err
			}
		}
	}
	b, err := tokens.Balance(ctx, pool, tokens.Options{})
	out.Total, out.Available = b.Total, b.Available
	return out, err
}

// issue stores a verified transaction that makes tokens of a pool, and consumes states.
func issue(ctx *flow.Context, pool tokens.Pool, amounts []string, inputs []ledger.StateRef) error {
	m, err := vault.Metadata(ctx)
	if err != nil {
		return err
	}
	me := ledger.PublicKey("anybody: nothing is signed here")
	c := ledger.Content{
		Metadata: m, Notary: ledger.Notary{Name: pool.Notary, Key: me}, Window: ledger.TimeWindow{UntilUs: ctx.Now().Add(time.Hour).UnixMicro()},
		Signatories: []ledger.PublicKey{me}, Commands: []ledger.Command{{Type: "move", TypeVersion: 1}}, Inputs: inputs,
	}
	var visible []int
	for i, a := range amounts {
		c.Outputs = append(c.Outputs, ledger.State{
			Type: "Coin", TypeVersion: 1, Contract: "Coin", Payload: fmt.Appendf(nil, "%d", i), Participants: []ledger.PublicKey{me},
			Token: &ledger.Token{Type: pool.Type, Symbol: pool.Symbol, Issuer: pool.Issuer, Amount: a},
		})
		visible = append(visible, i)
	}
	var salt ledger.Salt
	id := ctx.FlowID()
	copy(salt[:], id[:])
	salt[31] = byte(len(inputs))
	tx, err := ledger.New(c, salt)
	if err != nil {
		return err
	}
	_, _, err = vault.Store(ctx, tx, vault.Verified, vault.Options{Visible: visible})
	return err
}
