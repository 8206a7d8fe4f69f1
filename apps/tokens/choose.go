package main

import (
	"errors"
	"time"

	"github.com/fairleadio/fairlead/apps/tokens/token"
	"github.com/fairleadio/fairlead/sdk/contract/amount"
	"github.com/fairleadio/fairlead/sdk/contract/fungible"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/tokens"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// Money says which tokens, and how many.
type Money struct {
	// Issuer is the X.500 name of who stands for them.
	Issuer string       `json:"issuer"`
	Symbol string       `json:"symbol"`
	Amount flow.Decimal `json:"amount"`
}

// purse are tokens of one kind and one notary, which can be spent together, whichever of the notary's keys they have.
type purse struct {
	// notary is the one of the transaction that spends them.
	notary ledger.Notary
	kind   fungible.Kind
	held   []token.Held
	// claim keeps them for this flow, when they were chosen.
	claim tokens.Claimed
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
		if p.kind == h.Token.Kind() && p.notary.Name == n.Name {
			all[i].held = append(p.held, h)
			return all
		}
	}
	return append(all, purse{notary: n, kind: h.Token.Kind(), held: []token.Held{h}})
}

// How long a payment waits for tokens that other flows of this member hold: they spend them, and what is too much comes back.
const (
	firstWait = 500 * time.Millisecond
	longWait  = 8 * time.Second
	patience  = 30 * time.Second
)

// choose claims tokens of one notary that are worth an amount or more, for one transaction: no other flow of this member
// gets them while this one runs. Notary may be empty. While this member has enough and other flows hold it, it waits: whoever
// pays twice at once out of one large token must not be told that it has too little.
func choose(ctx *flow.Context, issuers []ledger.PublicKey, symbol, notary string, need amount.Amount) (purse, error) {
	for began, wait := ctx.Now(), firstWait; ; wait = min(2*wait, longWait) {
		p, held, err := tryChoose(ctx, issuers, symbol, notary, need)
		if err == nil || held == "" {
			return p, err
		}
		if ctx.Now().Sub(began) >= patience {
			return p, flow.Errorf(notEnough, "%s; this member has %s, and other flows of it have held that for %s", err, held, patience)
		}
		if err := ctx.Sleep(wait); err != nil {
			return p, err
		}
	}
}

// tryChoose is choose without the wait. Held is what this member has of a kind when that would be enough, and other flows
// hold so much of it that the rest is not.
func tryChoose(ctx *flow.Context, issuers []ledger.PublicKey, symbol, notary string, need amount.Amount) (p purse, held string, err error) {
	notaries, err := notariesNamed(ctx, notary)
	if err != nil {
		return purse{}, "", err
	}
	reason, asked := error(flow.Errorf(notEnough, "there are no tokens %s of that issuer", symbol)), 0
	for _, issuer := range issuers {
		for _, n := range notaries {
			pool := tokens.Pool{Type: token.Type, Symbol: symbol, Issuer: ledger.KeyID(issuer), Notary: n.name}
			claim, err := tokens.Claim(ctx, pool, need.String(), tokens.Options{})
			if errors.Is(err, tokens.ErrNotEnough) || errors.Is(err, tokens.ErrTooMany) {
				switch {
				case errors.Is(reason, tokens.ErrTooMany): // which can be helped
				case asked > 0 && errors.Is(err, tokens.ErrNotEnough):
					reason = flow.Errorf(notEnough, "%s; %s: what has different notaries is not spent together", reason, err)
				default:
					reason = err
				}
				asked++
				if errors.Is(err, tokens.ErrNotEnough) && held == "" {
					if held, err = enough(ctx, pool, need); err != nil {
						return purse{}, "", err
					}
				}
				continue
			}
			if err != nil {
				return purse{}, "", err
			}
			p, err = claimed(ctx, claim, n, issuer, need)
			return p, "", err
		}
	}
	return purse{}, held, reason
}

// enough is what this member has of a pool, whoever holds it, and empty when that is less than is needed.
func enough(ctx *flow.Context, pool tokens.Pool, need amount.Amount) (string, error) {
	all, err := tokens.Balance(ctx, pool, tokens.Options{})
	if err != nil {
		return "", err
	}
	if total, err := amount.Parse(all.Total); err != nil || total.Cmp(need) < 0 {
		return "", nil //nolint:nilerr // nothing at all is no amount
	}
	return all.Total, nil
}

// told are the tokens of a claim as token selection describes them, which is all that a payment needs to know: a pool has the
// states of one contract, which takes no state whose description is not the token's. It knows owners by the hashes of
// their keys; false when one is not among the virtual node's.
func told(ctx *flow.Context, claim tokens.Claimed, issuer ledger.PublicKey) ([]token.Held, bool, error) {
	keys, err := ctx.Keys("LEDGER")
	if err != nil { // there may be too many for an answer
		return nil, false, nil //nolint:nilerr // the states tell, too
	}
	owners := map[ledger.Hash]ledger.PublicKey{}
	for _, k := range keys {
		owners[ledger.KeyID(ledger.PublicKey(k.PublicKey))] = ledger.PublicKey(k.PublicKey)
	}
	var out []token.Held
	for _, t := range claim.Tokens {
		owner, mine := owners[t.Owner]
		if !mine {
			return nil, false, nil
		}
		out = append(out, token.Held{Ref: t.Ref, Token: token.Token{Amount: t.Amount, Symbol: claim.Pool.Symbol, Issuer: issuer, Owner: owner, Tag: t.Tag}})
	}
	return out, true, nil
}

// claimed makes a purse of a claim, and leaves out the tokens that are not needed. Where the notary has several keys, the states
// are read, for they say which one they have.
func claimed(ctx *flow.Context, claim tokens.Claimed, from service, issuer ledger.PublicKey, need amount.Amount) (purse, error) {
	if len(from.keys) == 1 {
		held, whole, err := told(ctx, claim, issuer)
		if err != nil {
			return purse{}, err
		}
		if whole {
			picked, err := token.Pick(held, need)
			if err != nil {
				return purse{}, typed(err)
			}
			return purse{notary: from.spending(nil), kind: held[0].Token.Kind(), held: picked, claim: claim}, nil
		}
	}
	return read(ctx, claim, from, need)
}

// read reads the tokens of a claim. Token selection goes by what a state says of itself; one that is no token would be worth
// nothing, and is not spent.
func read(ctx *flow.Context, claim tokens.Claimed, from service, need amount.Amount) (purse, error) {
	states, err := vault.Resolve(ctx, claim.Refs()...)
	if err != nil {
		return purse{}, err
	}
	var all []purse
	keys := map[ledger.StateRef]string{}
	for _, s := range states {
		t, err := token.Read(s.State)
		if err != nil {
			return purse{}, flow.Errorf(noToken, "state %s is among the tokens and is none: %s", s.Ref, err)
		}
		all, keys[s.Ref] = put(all, s.Notary, token.Held{Ref: s.Ref, Token: t}), string(s.Notary.Key)
	}
	reason := error(flow.Errorf(notEnough, "the claim has no tokens"))
	for _, p := range all { // one: a pool has one kind
		picked, err := token.Pick(p.held, need)
		if err == nil {
			used := map[string]bool{}
			for _, h := range picked {
				used[keys[h.Ref]] = true
			}
			p.claim, p.held, p.notary = claim, picked, from.spending(used)
			return p, nil
		}
		reason = typed(err)
	}
	return purse{}, reason
}

// spent ends the claim after a transaction that consumed the tokens is final. Should this fail, the claim ends with the flow.
func (p purse) spent(ctx *flow.Context) {
	var used []ledger.StateRef
	for _, h := range p.held {
		used = append(used, h.Ref)
	}
	if err := tokens.Release(ctx, p.claim, used...); err != nil {
		ctx.Log().Warn("a claim of tokens was not ended", "claim", p.claim.ID, "reason", err.Error())
	}
}

// notEnough is the type of the error that there are not enough tokens, scattered that they are too many for one payment,
// noToken that something among them is none.
const notEnough, scattered, noToken = "not-enough-tokens", "too-many-tokens", "no-token"

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
