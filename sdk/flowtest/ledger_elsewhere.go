package flowtest

import (
	"slices"

	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// elsewhereOf are the states that others have consumed of what an invalid transaction consumes or looks at, with who has.
func elsewhereOf(tx *ledger.Transaction, to vault.Status, list []wire.ConsumedState) (map[ledger.StateRef]ledger.Hash, error) {
	out := map[ledger.StateRef]ledger.Hash{}
	for _, c := range list {
		made, err := hashOf("consumed", c.Ref.Transaction)
		if err != nil {
			return nil, err
		}
		by, err := hashOf("consumed", c.By)
		if err != nil {
			return nil, err
		}
		ref := ledger.StateRef{Transaction: made, Index: c.Ref.Index}
		if to != vault.Invalid || !slices.Contains(slices.Concat(tx.Content().Inputs, tx.Content().References), ref) || by == tx.ID() {
			return nil, invalid("consumed: it is for what an invalid transaction consumes or looks at, and others have consumed")
		}
		out[ref] = by
	}
	return out, nil
}

// consumedBy marks states of a notary that others have consumed, unless these are here and may still become verified.
func (t *tables) consumedBy(notary string, elsewhere map[ledger.StateRef]ledger.Hash, nowUs int64) {
	for ref, by := range elsewhere {
		s := t.transactions[by].whole()
		if k := t.states[ref]; k != nil && k.consumedAtUs == 0 && t.transactions[ref.Transaction].tx.Content().Notary.Name == notary && (s == vault.Absent || s == vault.Invalid) {
			t.last++
			k.consumedAtUs, k.consumedBy = nowUs, by
		}
	}
}
