package devenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/config"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
	"github.com/fairleadio/fairlead/internal/seal"
	"github.com/fairleadio/fairlead/internal/vault"
	"github.com/fairleadio/fairlead/internal/vault/vaultserver"
)

// Files and folders of the servers in a data directory.
const (
	postgresDir = "postgres"
	vaultDir    = "vault"
	sealKeyFile = "seal.key"
	// The databases: the cluster's own, and that of the virtual nodes.
	clusterDatabase = "cluster"
	vnodeDatabase   = "vnodes"
)

// Bare returns the worker types that need neither Postgres nor Vault. A cluster of these alone publishes its own facts:
// its users, its virtual nodes and its application.
func Bare() []string { return []string{app.Flow, app.FlowMapper, app.Rest} }

// whole tells whether a cluster has the database worker, which then owns all facts.
func whole(workers []string) bool { return slices.Contains(workers, app.Database) }

// checkWorkers refuses sets of worker types that could do nothing together.
func checkWorkers(workers []string) error {
	if whole(workers) && !slices.Contains(workers, app.Rest) {
		return fmt.Errorf("FL-DEV-009: the database worker without rest: the cluster is set up through REST; run all, or %s", strings.Join(Bare(), ","))
	}
	if slices.Contains(workers, app.Persistence) && !whole(workers) {
		return fmt.Errorf("FL-DEV-009: the persistence worker without database: it makes the databases of virtual nodes; run all, or %s", strings.Join(Bare(), ","))
	}
	return nil
}

// MissingError tells that a server cannot be had on this machine, and what would bring it.
type MissingError struct {
	Server string
	Err    error
}

// Error says what to do.
func (e *MissingError) Error() string {
	return fmt.Sprintf("FL-DEV-008: no %s: %v\nName a running one with --%s, or run the workers that need none: --workers %s", e.Server, e.Err, strings.ToLower(e.Server), strings.Join(Bare(), ","))
}

func (e *MissingError) Unwrap() error { return e.Err }

// Servers tells whether this machine can run all that a whole cluster needs; the error is a [MissingError].
func Servers(ctx context.Context) error {
	if _, err := pgserver.Find(ctx); err != nil {
		return &MissingError{"Postgres", err}
	}
	if _, err := vaultserver.Find(ctx, nil); err != nil {
		return &MissingError{"Vault", err}
	}
	return nil
}

// startServers starts Postgres and Vault at the same time, and fills in how the workers reach them.
func (c *Cluster) startServers(ctx context.Context) error {
	if !whole(c.opts.Workers) && !slices.Contains(c.opts.Workers, app.Crypto) {
		return nil
	}
	began := time.Now()
	var database, keys error
	var databaseIs, keysAre string
	done := make(chan struct{})
	go func() {
		defer close(done)
		switch {
		case !slices.Contains(c.opts.Workers, app.Crypto):
		case c.opts.Vault.Address != "":
			keysAre, keys = c.useVault(ctx)
		default:
			keysAre, keys = "a Vault server", c.startVault(ctx)
		}
	}()
	switch {
	case !whole(c.opts.Workers):
	case c.opts.Postgres.URL != "":
		databaseIs, database = c.usePostgres(ctx)
	default:
		databaseIs, database = c.startPostgres(ctx)
	}
	<-done
	if err := errors.Join(database, keys); err != nil {
		return err
	}
	if whole(c.opts.Workers) {
		if err := c.sealKey(); err != nil {
			return err
		}
	}
	what := slices.DeleteFunc([]string{databaseIs, keysAre}, func(s string) bool { return s == "" })
	c.watchServers()
	c.opts.Step(strings.Join(what, " and ")+" run", time.Since(began))
	return nil
}

func (c *Cluster) startPostgres(ctx context.Context) (what string, err error) {
	c.postgres, err = pgserver.Start(ctx, pgserver.Options{Dir: c.dir.join(postgresDir), Durable: true})
	var missing *pgserver.NotFoundError
	if errors.As(err, &missing) {
		return "", &MissingError{"Postgres", err}
	}
	if err != nil {
		return "", fmt.Errorf("starting Postgres: %w", err)
	}
	if err := c.postgres.Ensure(ctx, clusterDatabase, vnodeDatabase); err != nil {
		return "", fmt.Errorf("making the databases: %w", err)
	}
	c.databases = databases{cluster: c.postgres.URL(clusterDatabase), vnodes: c.postgres.URL(vnodeDatabase)}
	return "Postgres " + c.postgres.Version(), c.places.change(func(p *places) { p.Postgres = &postgresPlace{Own: true} })
}

// sealKey makes the key of sealed credentials where there is none.
func (c *Cluster) sealKey() error {
	if _, err := os.Stat(c.dir.join(sealKeyFile)); err != nil {
		if err := seal.WriteKey(c.dir.join(sealKeyFile)); err != nil {
			return fmt.Errorf("making the key of sealed credentials: %w", err)
		}
	}
	return nil
}

func (c *Cluster) startVault(ctx context.Context) error {
	if _, err := vaultserver.Find(ctx, c.log); err != nil {
		return &MissingError{"Vault", err}
	}
	server, err := vaultserver.Start(ctx, vaultserver.Options{Dir: c.dir.join(vaultDir), Log: c.log})
	if err != nil {
		return fmt.Errorf("starting Vault: %w", err)
	}
	c.vault = server
	c.vaultConfig, err = vault.Setup(ctx, vault.SetupConfig{Address: server.URL(), Token: server.RootToken(), Dir: c.dir.join(vaultDir), Log: c.log})
	if err != nil {
		return fmt.Errorf("setting Vault up: %w", err)
	}
	return c.places.change(func(p *places) { p.Vault = &vaultPlace{Own: true} })
}

// configure tells the workers where the servers are, and who the first administrator is.
func (c *Cluster) configure(cfg *config.Config) {
	if d := c.databases; d.cluster != "" {
		cfg.Postgres.URL, cfg.Postgres.VnodeURL = d.cluster, d.vnodes
		cfg.Postgres.Password, cfg.Postgres.VnodePassword = d.password, d.password
		cfg.Postgres.SealKeyFile = c.dir.join(sealKeyFile)
		cfg.Database.AnySigner = !c.opts.TrustedOnly
		cfg.Bootstrap.AdminUser, cfg.Bootstrap.AdminPasswordFile = c.info.User, c.dir.join(passwordFile)
	}
	if v := c.vaultConfig; v.Address != "" {
		cfg.Vault.CAFile, cfg.Vault.Namespace = v.CAFile, v.Namespace
		cfg.Vault.Address, cfg.Vault.Mount, cfg.Vault.Auth, cfg.Vault.AuthPath = v.Address, v.Mount, string(v.Auth.Method), v.Auth.Path
		cfg.Vault.RoleIDFile, cfg.Vault.SecretIDFile = v.Auth.RoleIDFile, v.Auth.SecretIDFile
	}
}

func (c *Cluster) stopServers(ctx context.Context) error {
	var errs []error
	close(c.closing)
	c.watching.Wait()
	if c.vault != nil {
		errs = append(errs, c.vault.Stop(ctx))
	}
	if c.postgres != nil {
		errs = append(errs, c.postgres.Stop(ctx))
	}
	return errors.Join(errs...)
}

// watchServers fails the cluster when a server ends by itself.
func (c *Cluster) watchServers() {
	for name, done := range c.serverEnds() {
		c.watching.Go(func() {
			select {
			case <-done:
				c.fail(fmt.Errorf("%s ended by itself: its log is below %s", name, c.dir.path))
			case <-c.closing:
			}
		})
	}
}

func (c *Cluster) serverEnds() map[string]<-chan struct{} {
	out := map[string]<-chan struct{}{}
	if c.postgres != nil {
		out["Postgres"] = c.postgres.Done()
	}
	if c.vault != nil {
		out["Vault"] = c.vault.Done()
	}
	return out
}
