package finality

import (
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// Spendable is for what [Receive] is given as check, where a transaction's outputs are worth something to this party: it returns
// an error when they are made by a later version of the virtual node's own package, which could keep them and not consume
// them until its operator upgrades it.
func Spendable(ctx *flow.Context, tx *ledger.Resolved) error {
	own, err := vault.Metadata(ctx)
	if err != nil {
		return err
	}
	for _, p := range tx.Transaction().Content().Metadata.Packages {
		for _, mine := range own.Packages {
			if p.Later(mine) {
				return failed(ErrRefused, "its states are made by version %s of package %s, and this party has version %s, which could not consume them: its operator upgrades the virtual node first", p.Version, p.Name, mine.Version)
			}
		}
	}
	return nil
}
