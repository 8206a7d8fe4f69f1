// Built together with application tokens: flows that go past token selection, which no member can be kept from.
package main

import (
	"github.com/fairleadio/fairlead/apps/tokens/token"
	"github.com/fairleadio/fairlead/sdk/contract/amount"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

func init() {
	flow.Register("test-hold", hold)
	flow.Register("test-spend", spend)
}

// coin is a token that this member has, or had.
type coin struct {
	Ref   string      `json:"ref"`
	Token token.Token `json:"token"`
}

// hold tells what this member has of a symbol.
func hold(ctx *flow.Context, in Which) ([]coin, error) {
	all, err := purses(ctx)
	out := []coin{}
	for _, p := range all {
		for _, h := range p.held {
			if h.Token.Symbol == in.Symbol {
				out = append(out, coin{h.Ref.String(), h.Token})
			}
		}
	}
	return out, err
}

// spending is a token that is given to somebody, claimed or not, spent or not.
type spending struct {
	Coin coin   `json:"coin"`
	To   string `json:"to"`
	Tag  string `json:"tag"`
}

func spend(ctx *flow.Context, in spending) (Final, error) {
	to, err := keysOf(ctx, "to", in.To)
	if err != nil {
		return Final{}, err
	}
	n, err := notaryNamed(ctx, "")
	if err != nil {
		return Final{}, err
	}
	ref, err := ledger.ParseStateRef(in.Coin.Ref)
	if err != nil {
		return Final{}, err
	}
	a, err := amount.Parse(in.Coin.Token.Amount)
	if err != nil {
		return Final{}, err
	}
	held := purse{notary: n, held: []token.Held{{Ref: ref, Token: in.Coin.Token}}}
	d, _, err := held.pay(token.Payment{To: to[0], Amount: a, Tag: in.Tag})
	if err != nil {
		return Final{}, err
	}
	return finalOf(d.finish(ctx, receiving, in.To))
}
