package vaultdb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/vaultschema"
	"github.com/fairleadio/fairlead/internal/rows"
)

// errTried ends the transaction of [TryOut].
var errTried = errors.New("it was tried out")

// TryOut runs the platform's migrations and a package's in a schema that exists for nobody else, has the database parse what is declared, and
// takes everything back: for an author, before there is a cluster. It runs as the pool's user, who may more than a
// virtual node's roles. A migration that fails is a *[postgres.MigrationError].
func TryOut(ctx context.Context, p *postgres.Pool, all []clusterdb.Migrations, declared *rows.Schema, l Limits) ([]Misfit, error) {
	platform, err := vaultschema.Migrations()
	if err != nil {
		return nil, err
	}
	var misfits []Misfit
	schema := "tried_out_" + strings.ToLower(rand.Text())
	err = p.InTx(ctx, postgres.TxOptions{StatementTimeout: l.Statement, LockTimeout: l.Lock, Retries: -1}, func(ctx context.Context, tx *postgres.Tx) error {
		for _, sql := range []string{"CREATE SCHEMA " + postgres.Identifier(schema), "SET LOCAL search_path = " + postgres.Identifier(schema)} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		for _, m := range platform {
			if err := tx.Script(ctx, "run migration "+m.Name, m.SQL); err != nil {
				return &postgres.MigrationError{Schema: schema, Set: vaultschema.Set, Name: m.Name, Err: err}
			}
		}
		for _, set := range all {
			for _, m := range set.List {
				if err := tryMigration(ctx, tx, m.SQL); err != nil {
					return &postgres.MigrationError{Schema: schema, Set: set.Cpk, Name: m.Name, Err: err}
				}
			}
		}
		var err error
		if misfits, err = Misfits(ctx, tx, declared); err != nil {
			return err
		}
		return errTried
	})
	if errors.Is(err, errTried) {
		return misfits, nil
	}
	return nil, err
}

func tryMigration(ctx context.Context, tx *postgres.Tx, sql string) error {
	statements, err := Split(sql)
	if err != nil {
		return err
	}
	for i, s := range statements {
		if _, err := tx.Exec(ctx, s); err != nil {
			return fmt.Errorf("statement %d: %w", i+1, err)
		}
	}
	return nil
}
