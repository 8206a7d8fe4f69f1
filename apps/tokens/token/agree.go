package token

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/fairleadio/fairlead/sdk/contract/amount"
	"github.com/fairleadio/fairlead/sdk/contract/fungible"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// ErrDisagree: a transaction that somebody else proposes is not what this member agrees to. The contract may have nothing
// against it: what a member's own key signs is the member's to decide.
var ErrDisagree = errors.New("not agreed to")

// Mine tells whether a key is one of the virtual node's.
type Mine func(ledger.PublicKey) bool

// Value is an amount of a kind.
type Value struct {
	Kind   fungible.Kind
	Amount amount.Amount
}

// AgreeToReceive tells whether a member may take part in a transaction as somebody who is paid: it signs nothing, and what
// claims to be a token is one, whatever contract it names, so that token selection never finds a false one here. The errors
// are [ErrDisagree] and [ErrToken].
func AgreeToReceive(tx *ledger.Resolved, mine Mine) error {
	c := tx.Transaction().Content()
	if slices.ContainsFunc(c.Signatories, mine) {
		return fmt.Errorf("%w: who is paid signs nothing, and a key of this member would have to", ErrDisagree)
	}
	for i, s := range c.Outputs {
		if _, err := Read(s); err != nil && Claims(s) {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}

// AgreeToRedeem tells whether an issuer may sign a redemption: the transaction ends tokens that the issuer stands for, which
// others have, and does nothing else. The errors are [ErrDisagree] and [ErrToken].
func AgreeToRedeem(tx *ledger.Resolved, mine Mine) error {
	c := tx.Transaction().Content()
	if len(c.Outputs) > 0 || len(c.Commands) != 1 || c.Commands[0].Type != Redeem {
		return fmt.Errorf("%w: it is not a redemption alone", ErrDisagree)
	}
	for i, s := range tx.Inputs() {
		t, err := Read(s.State)
		switch {
		case err != nil:
			return fmt.Errorf("input %d: %w", i, err)
		case !mine(t.Issuer):
			return fmt.Errorf("%w: input %d is %s, which somebody else stands for", ErrDisagree, i, t.Kind())
		case mine(t.Owner):
			return fmt.Errorf("%w: input %d is a token that this member has itself", ErrDisagree, i)
		}
	}
	return nil
}

// AgreeToSwap tells whether a member may sign an exchange: of its tokens it consumes those that the member named, and no
// other; the member ends with give less and take more than before, of nothing else less; and it is about tokens alone, which
// are only transferred. The errors are [ErrDisagree] and [ErrToken].
func AgreeToSwap(tx *ledger.Resolved, mine Mine, named []ledger.StateRef, give, take Value) error {
	c := tx.Transaction().Content()
	for i, x := range c.Commands {
		if x.Type != Transfer {
			return fmt.Errorf("%w: command %d is %s, an exchange only transfers", ErrDisagree, i, x.Type)
		}
	}
	var in, out []fungible.Holding
	spent := map[ledger.StateRef]bool{}
	for i, s := range tx.Inputs() {
		t, a, err := read(s.State)
		if err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
		if mine(t.Owner) {
			in, spent[s.Ref] = append(in, fungible.Holding{Kind: t.Kind(), Amount: a}), true
		}
	}
	for i, s := range c.Outputs {
		t, a, err := read(s)
		if err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
		if mine(t.Owner) {
			out = append(out, fungible.Holding{Kind: t.Kind(), Amount: a})
		}
	}
	for _, ref := range named {
		delete(spent, ref)
	}
	if others := slices.SortedFunc(maps.Keys(spent), ledger.StateRef.Compare); len(others) > 0 {
		return fmt.Errorf("%w: it consumes %s, which this member did not name", ErrDisagree, others[0])
	}
	// What is given stands beside what comes out, what is taken beside what went in: then both sides are equal.
	sums := fungible.Of(append(in, fungible.Holding(take)), append(out, fungible.Holding(give)))
	for _, kind := range sums.Kinds() {
		if s := sums[kind]; s.In.Cmp(s.Out) != 0 {
			return fmt.Errorf("%w: of %s this member would have %s where it should have %s, counting what it gives", ErrDisagree, kind, s.Out, s.In)
		}
	}
	return nil
}
