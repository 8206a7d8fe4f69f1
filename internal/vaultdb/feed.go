package vaultdb

import (
	"context"
	"fmt"

	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/rows"
)

// Feed makes the change feed capture what a package's declarations ask for, and nothing else. It is run as the ddl role,
// on the pool of [Vaults.Connect], after the application's migrations; it may be repeated.
func Feed(ctx context.Context, p *postgres.Pool, schema string, declared *rows.Schema) error {
	err := p.InTx(ctx, postgres.TxOptions{}, func(ctx context.Context, tx *postgres.Tx) error {
		for _, sql := range captures(schema, declared) {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("make the triggers of the change feed: %w", err)
	}
	return nil
}
