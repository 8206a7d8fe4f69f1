package tokens

import (
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Pool are tokens that can stand for each other.
type Pool struct {
	// Type and Symbol are what is counted, Issuer is whose it is, as in ledger.Token. The type is the name of the contract of
	// the states: those of other contracts are in no pool.
	Type, Symbol string
	Issuer       ledger.Hash
	// Notary is the X.500 name of the notary of the states, as their transactions have it.
	Notary string
}

// Strategy is which tokens are taken first.
type Strategy int

// The strategies.
const (
	// Random takes them in the order of the ids of their transactions.
	Random Strategy = 1
	// ByPriority takes those with the lowest priority first, and those without last.
	ByPriority Strategy = 2
)

// Options narrow a selection. Zero values mean any token.
type Options struct {
	// Owner is ledger.Token.Owner.
	Owner ledger.Hash
	// TagRegex is a regular expression (RE2, as in package regexp) of at most 256 bytes that matches somewhere in the tag. A
	// token without a tag is not selected.
	TagRegex string
	// Strategy is [Random] when it is 0. It has no meaning for a balance.
	Strategy Strategy
}

// ErrNotEnough: the tokens that nobody has claimed are worth less than was asked. The message says how much there is. It is
// to be compared with errors.Is.
var ErrNotEnough = &flow.Error{Type: "not-enough-tokens"}

// ErrTooMany: one claim has a bounded number of tokens (1,500, unless the cluster's configuration says otherwise), and as many
// as that are worth less than was asked, though there are more. Merge small ones first, by transactions that make one token
// of many for oneself. It is to be compared with errors.Is.
var ErrTooMany = &flow.Error{Type: "too-many-tokens"}

// Token is a token of a claim.
type Token struct {
	Ref ledger.StateRef
	// Amount, Owner, Tag and Priority are those of its ledger.Token.
	Amount   string
	Owner    ledger.Hash
	Tag      string
	Priority uint64
}

// Claimed is a claim.
type Claimed struct {
	Pool Pool
	ID   string
	// Tokens are worth Amount together, which is what was asked or more.
	Tokens []Token
	Amount string
	// ExpiresAt is when the claim ends by itself, to the microsecond.
	ExpiresAt time.Time
}

// Refs are the states of the claim's tokens, as a transaction consumes them.
func (c Claimed) Refs() []ledger.StateRef {
	out := make([]ledger.StateRef, len(c.Tokens))
	for i, t := range c.Tokens {
		out[i] = t.Ref
	}
	return out
}

// Amounts is a balance, in decimal numbers.
type Amounts struct {
	// Total is what all unconsumed tokens are worth, Available what those are worth of them that nobody has claimed.
	Total, Available string
}

// Claim takes tokens that are worth amount or more. When there are not enough it takes none: [ErrNotEnough],
// or [ErrTooMany] when only more tokens than one claim can have might be enough.
func Claim(ctx *flow.Context, pool Pool, amount string, o Options) (Claimed, error) {
	return do(ctx, ClaimCall(pool, amount, o))
}

// ClaimCall is [Claim] as a call.
func ClaimCall(pool Pool, amount string, o Options) *flow.Pending[Claimed] {
	if err := ledger.CheckAmount(amount); err != nil {
		return flow.EndedCall(Claimed{}, flow.Errorf(flow.ErrInvalidArgument.Type, "%s", err))
	}
	m := &wire.ClaimTokens{Pool: pool.wire(), Amount: amount, Owner: hashBytes(o.Owner), TagRegex: o.TagRegex, Strategy: int32(o.Strategy)}
	return claimCall(m, pool, func(r wire.TokenClaim) error {
		if r.Limited {
			return flow.Errorf(ErrTooMany.Type, "%s %s are asked: the tokens are too small for one claim; merge some first, by paying them to yourself", amount, pool.Symbol)
		}
		return flow.Errorf(ErrNotEnough.Type, "%s %s are asked, %s available, of the issuer with key %s and with notary %s", amount, pool.Symbol, r.Available, pool.Issuer, pool.Notary)
	})
}

// claimCall asks for a claim; none says why there is none.
func claimCall(m *wire.ClaimTokens, pool Pool, none func(wire.TokenClaim) error) *flow.Pending[Claimed] {
	return flow.NewCall(m, func(result []byte) (Claimed, error) {
		var r wire.TokenClaim
		if err := receive(result, &r); err != nil {
			return Claimed{}, err
		}
		if r.ClaimID == "" {
			return Claimed{}, none(r)
		}
		c := Claimed{Pool: pool, ID: r.ClaimID, Amount: r.Amount, ExpiresAt: time.UnixMicro(r.ExpiresAtUS).UTC()}
		for _, t := range r.Tokens {
			token := Token{Amount: t.Amount, Tag: t.Tag, Priority: t.Priority}
			if t.Ref != nil {
				copy(token.Ref.Transaction[:], t.Ref.Transaction)
				token.Ref.Index = t.Ref.Index
			}
			copy(token.Owner[:], t.Owner)
			c.Tokens = append(c.Tokens, token)
		}
		return c, nil
	})
}

// ErrTaken: another flow has a claim on one of the states. It is to be compared with errors.Is.
var ErrTaken = &flow.Error{Type: "tokens-taken"}

// Keep claims states of a pool by their references, at most 1,000; also such as do not exist yet. A flow whose next
// transaction is to consume what the one before makes keeps that before it makes it: from the moment that a transaction is
// stored until it is claimed, any other flow of the virtual node may take its outputs. The claim ends as every other does.
// Its tokens have their references, and what is known of them. [ErrTaken] when another flow has one of the states.
func Keep(ctx *flow.Context, pool Pool, states ...ledger.StateRef) (Claimed, error) {
	return do(ctx, KeepCall(pool, states...))
}

// KeepCall is [Keep] as a call.
func KeepCall(pool Pool, states ...ledger.StateRef) *flow.Pending[Claimed] {
	if len(states) == 0 {
		return flow.EndedCall(Claimed{}, flow.Errorf(flow.ErrInvalidArgument.Type, "no states are named that are to be kept"))
	}
	m := &wire.ClaimTokens{Pool: pool.wire()}
	for i := range states {
		m.States = append(m.States, wire.StateRef{Transaction: states[i].Transaction[:], Index: states[i].Index})
	}
	return claimCall(m, pool, func(wire.TokenClaim) error {
		return flow.Errorf(ErrTaken.Type, "another flow has a claim on one of %d states of %s", len(states), pool.Symbol)
	})
}

// Release ends a claim. Used are the tokens that a transaction consumes, at most 10,000: nobody gets them any more. A claim
// that has ended before is no error.
func Release(ctx *flow.Context, c Claimed, used ...ledger.StateRef) error {
	_, err := do(ctx, ReleaseCall(c, used...))
	return err
}

// ReleaseCall is [Release] as a call.
func ReleaseCall(c Claimed, used ...ledger.StateRef) *flow.Action {
	m := &wire.ReleaseTokens{Pool: c.Pool.wire(), ClaimID: c.ID}
	for i := range used {
		m.Used = append(m.Used, wire.StateRef{Transaction: used[i].Transaction[:], Index: used[i].Index})
	}
	return flow.NewCall(m, func([]byte) (done struct{}, err error) { return done, nil })
}

// Balance tells what the virtual node's tokens of a pool are worth.
func Balance(ctx *flow.Context, pool Pool, o Options) (Amounts, error) {
	return do(ctx, BalanceCall(pool, o))
}

// BalanceCall is [Balance] as a call.
func BalanceCall(pool Pool, o Options) *flow.Pending[Amounts] {
	return flow.NewCall(&wire.TokenBalance{Pool: pool.wire(), Owner: hashBytes(o.Owner), TagRegex: o.TagRegex}, func(result []byte) (Amounts, error) {
		var r wire.TokenAmounts
		if err := receive(result, &r); err != nil {
			return Amounts{}, err
		}
		return Amounts(r), nil
	})
}

func (p Pool) wire() *wire.TokenPool {
	return &wire.TokenPool{Type: p.Type, Symbol: p.Symbol, Issuer: hashBytes(p.Issuer), Notary: p.Notary}
}

// hashBytes are none for the zero hash.
func hashBytes(h ledger.Hash) []byte {
	if h == (ledger.Hash{}) {
		return nil
	}
	return h[:]
}

func do[T any](ctx *flow.Context, p *flow.Pending[T]) (T, error) {
	_ = flow.All(ctx, p) // the call has the error
	return p.Result()
}

func receive(result []byte, m wire.Message) error {
	if err := wire.Decode(result, m); err != nil {
		return flow.Errorf("protocol", "the platform's answer cannot be read: %s: was the application built with an older SDK?", err)
	}
	return nil
}
