package token

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/fairleadio/fairlead/sdk/contract/amount"
	"github.com/fairleadio/fairlead/sdk/contract/fungible"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// MaxInputs is how many tokens one payment consumes. A contract takes a million instructions for each input and output
// together, so a transaction with so many of both takes half of what it may.
const MaxInputs = 100

// The errors of payments.
var (
	// ErrShort: there are not enough tokens.
	ErrShort = errors.New("not enough tokens")
	// ErrScattered: there are enough, but in more tokens than one payment consumes. Merge some first, by a payment to
	// oneself.
	ErrScattered = errors.New("the tokens are too small for one payment")
	// ErrPayment: a payment makes no sense; the message says why.
	ErrPayment = errors.New("payment")
)

// Held is a token that somebody has.
type Held struct {
	Ref   ledger.StateRef
	Token Token
}

// Payment is what somebody gets.
type Payment struct {
	To     ledger.PublicKey
	Amount amount.Amount
	// Tag is put on the new token; empty for none.
	Tag string
}

// value is what a held token is worth. What was read by [Read] has an amount.
func (h Held) value() (amount.Amount, error) { return h.Token.value() }

// Total is what tokens are worth together; they must be of one kind, and each there once. The errors are [ErrPayment] and
// [ErrToken].
func Total(held []Held) (fungible.Kind, amount.Amount, error) {
	var kind fungible.Kind
	var sum amount.Amount
	seen := make(map[ledger.StateRef]bool, len(held))
	for i, h := range held {
		a, err := h.value()
		if err != nil {
			return kind, sum, fmt.Errorf("%s: %w", h.Ref, err)
		}
		switch {
		case i == 0:
			kind = h.Token.Kind()
		case h.Token.Kind() != kind:
			return kind, sum, fmt.Errorf("%w: %s and %s cannot be added up", ErrPayment, kind, h.Token.Kind())
		}
		if seen[h.Ref] {
			return kind, sum, fmt.Errorf("%w: state %s is there twice", ErrPayment, h.Ref)
		}
		seen[h.Ref], sum = true, sum.Add(a)
	}
	return kind, sum, nil
}

// Pick chooses which of the tokens that somebody has pay an amount: one if one is enough, and of those the smallest; else
// the largest ones, so that few are consumed. The tokens are of one kind; their order does not matter. The errors are
// [ErrShort], [ErrScattered], [ErrPayment] and [ErrToken].
func Pick(held []Held, need amount.Amount) ([]Held, error) {
	if need.IsZero() {
		return nil, fmt.Errorf("%w: nothing is to be paid", ErrPayment)
	}
	kind, have, err := Total(held)
	if err != nil {
		return nil, err
	}
	if have.Cmp(need) < 0 {
		return nil, short(kind, have, need)
	}
	type valued struct {
		Held
		amount amount.Amount
	}
	all := make([]valued, len(held))
	for i, h := range held {
		a, err := h.value()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.Ref, err)
		}
		all[i] = valued{h, a}
	}
	slices.SortFunc(all, func(a, b valued) int { return cmp.Or(b.amount.Cmp(a.amount), a.Ref.Compare(b.Ref)) })
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].amount.Cmp(need) >= 0 {
			return []Held{all[i].Held}, nil
		}
	}
	var out []Held
	var sum amount.Amount
	for _, v := range all {
		if len(out) == MaxInputs {
			return nil, fmt.Errorf("%w: the %d largest of %s are %s, %s are needed", ErrScattered, MaxInputs, kind, sum, need)
		}
		out, sum = append(out, v.Held), sum.Add(v.amount)
		if sum.Cmp(need) >= 0 {
			break
		}
	}
	return out, nil
}

// Split says what comes of tokens that are consumed: a token for each payment, in order, and one with the change, when
// there is any, for whom change names. What comes out is what went in. The errors are [ErrShort], [ErrPayment] and
// [ErrToken].
func Split(consumed []Held, change ledger.PublicKey, payments ...Payment) ([]Token, error) {
	if len(consumed) == 0 || len(payments) == 0 {
		return nil, fmt.Errorf("%w: %d tokens and %d payments, each takes one at least", ErrPayment, len(consumed), len(payments))
	}
	kind, have, err := Total(consumed)
	if err != nil {
		return nil, err
	}
	var out []Token
	var need amount.Amount
	issuer := consumed[0].Token.Issuer
	add := func(to ledger.PublicKey, a amount.Amount, tag string) error {
		t := Token{Amount: a.String(), Symbol: kind.Symbol, Issuer: issuer, Owner: to, Tag: tag}
		out = append(out, t)
		return t.Check()
	}
	for _, p := range payments {
		if err := add(p.To, p.Amount, p.Tag); err != nil {
			return nil, err
		}
		need = need.Add(p.Amount)
	}
	left, err := have.Sub(need)
	if err != nil {
		return nil, short(kind, have, need)
	}
	if left.IsZero() {
		return out, nil
	}
	if err := add(change, left, ""); err != nil {
		return nil, fmt.Errorf("the change: %w", err)
	}
	return out, nil
}

func short(kind fungible.Kind, have, need amount.Amount) error {
	return fmt.Errorf("%w: %s of %s are there, %s are needed", ErrShort, have, kind, need)
}
