package main

import (
	"errors"
	"slices"

	"github.com/fairleadio/fairlead/apps/tokens/token"
	"github.com/fairleadio/fairlead/sdk/contract/fungible"
	"github.com/fairleadio/fairlead/sdk/finality"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Issuing is the argument of flow tokens-issue.
type Issuing struct {
	// To is the X.500 name of who gets the tokens.
	To     string       `json:"to"`
	Symbol string       `json:"symbol"`
	Amount flow.Decimal `json:"amount"`
	Tag    string       `json:"tag,omitempty"`
	// Notary may be left out when the group has one.
	Notary string `json:"notary,omitempty"`
}

// Issue makes tokens that this member stands for.
func Issue(ctx *flow.Context, in Issuing) (Final, error) {
	a, err := amountOf("amount", in.Amount)
	if err != nil {
		return Final{}, err
	}
	if err := checkSymbol("symbol", in.Symbol); err != nil {
		return Final{}, err
	}
	mine, err := keysOf(ctx, "", ctx.Identity().X500Name)
	if err != nil {
		return Final{}, err
	}
	to, err := keysOf(ctx, "to", in.To)
	if err != nil {
		return Final{}, err
	}
	n, err := notaryNamed(ctx, in.Notary)
	if err != nil {
		return Final{}, err
	}
	d := draft{
		notary: n, outputs: []token.Token{{Amount: a.String(), Symbol: in.Symbol, Issuer: mine[0], Owner: to[0], Tag: in.Tag}}, signers: mine[:1],
	}
	if err := d.say(token.Issue, mine[0], in.Symbol); err != nil {
		return Final{}, err
	}
	return finalOf(d.finish(ctx, receiving, in.To))
}

// finalOf is a flow's result.
func finalOf(f finality.Final, err error) (Final, error) {
	if err != nil {
		return Final{}, err
	}
	return Final{Transaction: f.ID().String()}, nil
}

// Paying is the argument of flow tokens-pay.
type Paying struct {
	// To is the X.500 name of who is paid.
	To string `json:"to"`
	Money
	Tag string `json:"tag,omitempty"`
}

// Pay gives tokens to another member, or merges and splits those of one's own. What is too much comes back as change.
func Pay(ctx *flow.Context, in Paying) (Final, error) {
	a, err := amountOf("amount", in.Amount)
	if err != nil {
		return Final{}, err
	}
	if err := checkSymbol("symbol", in.Symbol); err != nil {
		return Final{}, err
	}
	to, err := keysOf(ctx, "to", in.To)
	if err != nil {
		return Final{}, err
	}
	issuers, err := keysOf(ctx, "issuer", in.Issuer)
	if err != nil {
		return Final{}, err
	}
	p, err := choose(ctx, issuers, in.Symbol, "", a)
	if err != nil {
		return Final{}, err
	}
	d, change, err := p.pay(token.Payment{To: to[0], Amount: a, Tag: in.Tag})
	if err != nil {
		return Final{}, err
	}
	out, err := finalOf(d.finish(ctx, receiving, in.To))
	if err != nil {
		return Final{}, err
	}
	p.spent(ctx)
	out.Change = change
	return out, nil
}

// pay is the draft of a payment with all tokens of a purse, and the change.
func (p purse) pay(payment token.Payment) (draft, flow.Decimal, error) {
	first := p.held[0].Token
	made, err := token.Split(p.held, first.Owner, payment)
	if err != nil {
		return draft{}, "", typed(err)
	}
	change := flow.Decimal("")
	if len(made) > 1 {
		change = flow.Decimal(made[1].Amount)
	}
	d := draft{notary: p.notary, inputs: p.held, outputs: made}
	return d, change, d.say(token.Transfer, first.Issuer, first.Symbol)
}

// Receive takes what is paid to this member, which signs nothing.
func Receive(ctx *flow.Context, s *flow.Session) error {
	mine, err := mineOf(ctx)
	if err != nil {
		return err
	}
	_, err = receive(ctx, s, func(tx *ledger.Resolved) error { return token.AgreeToReceive(tx, mine) })
	return err
}

// receive takes part in a transaction that gives tokens to this member: such as it could spend alone.
func receive(ctx *flow.Context, s *flow.Session, check func(*ledger.Resolved) error) (finality.Final, error) {
	return finality.Options{Spendable: true}.Receive(ctx, s, check)
}

// Redeem gives tokens back to their issuer. If that takes a part of a token, it is split first, by a transaction before.
func Redeem(ctx *flow.Context, in Money) (Final, error) {
	a, err := amountOf("amount", in.Amount)
	if err != nil {
		return Final{}, err
	}
	if err := checkSymbol("symbol", in.Symbol); err != nil {
		return Final{}, err
	}
	issuers, err := keysOf(ctx, "issuer", in.Issuer)
	if err != nil {
		return Final{}, err
	}
	p, err := choose(ctx, issuers, in.Symbol, "", a)
	if err != nil {
		return Final{}, err
	}
	_, worth, err := token.Total(p.held)
	if err != nil {
		return Final{}, typed(err)
	}
	first, change := p.held[0].Token, flow.Decimal("")
	if worth.Cmp(a) != 0 {
		d, rest, err := p.pay(token.Payment{To: first.Owner, Amount: a})
		if err != nil {
			return Final{}, err
		}
		d.keeps = true
		split, err := d.finish(ctx, receiving)
		if err != nil {
			return Final{}, err
		}
		p.spent(ctx)
		p.claim = d.kept
		p.held, change = []token.Held{{Ref: split.Transaction.Output(0), Token: d.outputs[0]}}, rest
	}
	d := draft{notary: p.notary, inputs: p.held, signers: []ledger.PublicKey{first.Issuer}}
	if err := d.say(token.Redeem, first.Issuer, first.Symbol); err != nil {
		return Final{}, err
	}
	out, err := finalOf(d.finish(ctx, redeeming, in.Issuer))
	if err != nil {
		return Final{}, err
	}
	p.spent(ctx)
	out.Change = change
	return out, nil
}

// TakeBack signs the end of tokens that this member stands for. Whatever it owes for them is settled elsewhere.
func TakeBack(ctx *flow.Context, s *flow.Session) error {
	mine, err := mineOf(ctx)
	if err != nil {
		return err
	}
	_, err = finality.Receive(ctx, s, func(tx *ledger.Resolved) error {
		return errors.Join(soon(ctx, tx), token.AgreeToRedeem(tx, mine))
	})
	return err
}

// Which is the argument of flow tokens-balance.
type Which struct {
	// Symbol is empty for all.
	Symbol string `json:"symbol,omitempty"`
}

// Held is what this member has of one kind with one notary: tokens of different notaries are not spent together.
type Held struct {
	// Issuer is the X.500 name of who stands for it, empty when no active member has the key; Key is the key's hash.
	Issuer string       `json:"issuer,omitempty"`
	Key    string       `json:"key"`
	Symbol string       `json:"symbol"`
	Amount flow.Decimal `json:"amount"`
	// Tokens is how many states that is.
	Tokens int `json:"tokens"`
	// Notary is the notary's name.
	Notary string `json:"notary"`
}

// Balance tells what this member has, in the order of issuers' keys, symbols and notaries.
func Balance(ctx *flow.Context, in Which) ([]Held, error) {
	all, err := purses(ctx)
	if err != nil {
		return nil, err
	}
	out, keys := []Held{}, map[fungible.Kind]ledger.PublicKey{}
	for _, p := range all {
		if in.Symbol != "" && p.kind.Symbol != in.Symbol {
			continue
		}
		_, sum, err := token.Total(p.held)
		if err != nil {
			return nil, err
		}
		keys[p.kind] = p.held[0].Token.Issuer
		out = append(out, Held{Key: p.kind.Issuer.String(), Symbol: p.kind.Symbol, Amount: flow.Decimal(sum.String()), Tokens: len(p.held), Notary: p.notary.Name})
	}
	order := func(h Held) []string { return []string{h.Key, h.Symbol, h.Notary} }
	slices.SortFunc(out, func(a, b Held) int { return slices.Compare(order(a), order(b)) })
	return out, named(ctx, out, keys)
}

// named adds the issuers' names.
func named(ctx *flow.Context, out []Held, keys map[fungible.Kind]ledger.PublicKey) error {
	if len(out) == 0 {
		return nil
	}
	byID := map[string]ledger.PublicKey{}
	for kind, k := range keys {
		byID[kind.Issuer.String()] = k
	}
	var asked []flow.PublicKey
	for _, h := range out { // in an order that is the same each time
		if k := flow.PublicKey(byID[h.Key]); !slices.ContainsFunc(asked, func(o flow.PublicKey) bool { return string(o) == string(k) }) {
			asked = append(asked, k)
		}
	}
	members := flow.MembersByKeyCall(asked...)
	if err := flow.All(ctx, members); err != nil {
		return err
	}
	for _, m := range members.Value() {
		for _, k := range m.LedgerKeys {
			for i := range out {
				if out[i].Key == ledger.KeyID(ledger.PublicKey(k)).String() {
					out[i].Issuer = m.X500Name
				}
			}
		}
	}
	return nil
}
