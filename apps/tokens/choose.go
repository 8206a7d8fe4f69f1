package main

import (
	"bytes"
	"errors"

	"github.com/fairleadio/fairlead/apps/tokens/token"
	"github.com/fairleadio/fairlead/sdk/contract/amount"
	"github.com/fairleadio/fairlead/sdk/contract/fungible"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// Money says which tokens, and how many.
type Money struct {
	// Issuer is the X.500 name of who stands for them.
	Issuer string       `json:"issuer"`
	Symbol string       `json:"symbol"`
	Amount flow.Decimal `json:"amount"`
}

// purse are tokens of one kind and one notary, which can be spent together.
type purse struct {
	notary ledger.Notary
	kind   fungible.Kind
	held   []token.Held
}

// purses are the tokens that this member has, in the order in which they became known. What claims to be a token and is
// none is passed over: its type's name alone is worth nothing.
func purses(ctx *flow.Context) ([]purse, error) {
	var out []purse
	for page := (vault.Page{}); ; {
		states, err := vault.Unconsumed(ctx, token.Type, page)
		if err != nil {
			return nil, err
		}
		for _, s := range states.States {
			t, err := token.Read(s.State)
			if err != nil {
				ctx.Log().Warn("a state is no token", "state", s.Ref.String(), "reason", err.Error())
				continue
			}
			out = put(out, s.Notary, token.Held{Ref: s.Ref, Token: t})
		}
		if page.After = states.Next; len(page.After) == 0 {
			return out, nil
		}
	}
}

func put(all []purse, n ledger.Notary, h token.Held) []purse {
	for i, p := range all {
		if p.kind == h.Token.Kind() && p.notary.Name == n.Name && bytes.Equal(p.notary.Key, n.Key) {
			all[i].held = append(p.held, h)
			return all
		}
	}
	return append(all, purse{n, h.Token.Kind(), []token.Held{h}})
}

// choose finds tokens of one notary that are worth an amount or more, for one transaction: nothing keeps another flow from
// choosing the same ones meanwhile, and the notary then refuses one of the two. Notary may be empty.
func choose(ctx *flow.Context, issuers []ledger.PublicKey, symbol, notary string, need amount.Amount) (purse, error) {
	all, err := purses(ctx)
	if err != nil {
		return purse{}, err
	}
	reason := error(flow.Errorf(notEnough, "there are no tokens %s of that issuer", symbol))
	for _, issuer := range issuers {
		for _, p := range all {
			if p.kind != (fungible.Kind{Issuer: ledger.KeyID(issuer), Symbol: symbol}) || notary != "" && p.notary.Name != notary {
				continue
			}
			picked, err := token.Pick(p.held, need)
			if err == nil {
				p.held = picked
				return p, nil
			}
			reason = typed(err)
		}
	}
	return purse{}, reason
}

// notEnough is the type of the error that there are not enough tokens, scattered that they are too many for one payment.
const notEnough, scattered = "not-enough-tokens", "too-many-tokens"

// typed gives an error of payments a type that programs can rely on.
func typed(err error) error {
	switch {
	case errors.Is(err, token.ErrShort):
		return flow.Errorf(notEnough, "%s", err)
	case errors.Is(err, token.ErrScattered):
		return flow.Errorf(scattered, "%s; pay some of them to yourself first, which merges them", err)
	case errors.Is(err, token.ErrToken), errors.Is(err, token.ErrPayment), errors.Is(err, token.ErrCommand):
		return badInput("%s", err)
	}
	return err
}
