package hardening

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/fairleadio/fairlead/internal/postgres"
)

//go:embed harden.sql
var script string

// SQL returns what is run, for those who prepare their databases by hand.
func SQL() string { return script }

// Apply hardens the database of a pool.
func Apply(ctx context.Context, p *postgres.Pool) error {
	err := p.InTx(ctx, postgres.TxOptions{}, func(ctx context.Context, tx *postgres.Tx) error {
		if err := tx.Lock(ctx, "harden the virtual nodes' database"); err != nil {
			return err
		}
		return tx.Script(ctx, "take rights from everybody", script)
	})
	if err != nil {
		return fmt.Errorf("harden database %s: %w", p.Database(), err)
	}
	return nil
}
