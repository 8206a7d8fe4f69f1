package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/internal/vaultdb"
)

// ownPostgres stands for a server that runs for as long as the check.
const ownPostgres = "own"

// tryOut runs a package's migrations on a Postgres, has it parse what is declared, and takes all of it back.
func (g *Globals) tryOut(ctx context.Context, address string, p *cpi.Package) (err error) {
	declared, err := rows.CompilePackage(p.ToProto())
	if err != nil {
		return err
	}
	var all []clusterdb.Migrations
	for _, c := range p.CPKs {
		set := clusterdb.Migrations{Cpk: c.Name}
		for _, m := range c.Migrations {
			sql, err := m.SQL()
			if err != nil {
				return err
			}
			set.List = append(set.List, postgres.Migration{Name: m.Name, SQL: sql})
		}
		all = append(all, set)
	}
	cfg := postgres.Config{URL: address, Password: g.env(envPGPassword), MaxConns: 1, Application: "fairlead app check"}
	if address == ownPostgres {
		stop, url, err := passingPostgres(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
		cfg.URL, cfg.Password = url, ""
	}
	pool, err := postgres.Open(ctx, cfg)
	if err != nil {
		return fmt.Errorf("--postgres: %w", err)
	}
	defer pool.Close()
	misfits, err := vaultdb.TryOut(ctx, pool, all, declared, vaultdb.DefaultLimits())
	var failed *postgres.MigrationError
	switch {
	case errors.As(err, &failed):
		return &cpi.Error{ID: cpi.ErrDeclaration, Entry: appbuild.MigrationFolder + "/" + failed.Name, Detail: failed.Err.Error(), Remedy: "correct it"}
	case err != nil:
		return fmt.Errorf("--postgres: %w", err)
	case len(misfits) == 0:
		return nil
	}
	var problems []string
	for _, m := range misfits {
		problems = append(problems, m.What+": "+m.Reason)
	}
	return &cpi.Error{ID: cpi.ErrDeclaration, Entry: appbuild.SourceFile, Detail: strings.Join(problems, "; "), Remedy: "correct it, or add a migration"}
}

// passingPostgres starts a server that keeps nothing.
func passingPostgres(ctx context.Context) (stop func() error, url string, err error) {
	dir, err := os.MkdirTemp("", "fairlead-check-")
	if err != nil {
		return nil, "", fmt.Errorf("make a folder for Postgres: %w", err)
	}
	s, err := pgserver.Start(ctx, pgserver.Options{Dir: dir})
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("--postgres %s: %w", ownPostgres, err), os.RemoveAll(dir))
	}
	return func() error {
		return errors.Join(s.Stop(context.WithoutCancel(ctx)), os.RemoveAll(dir))
	}, s.URL("postgres"), nil
}
