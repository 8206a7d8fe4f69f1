package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/internal/vaultdb"
)

// elsewhere is a failure of a database that a caller named: waiting for it helps nobody.
type elsewhere struct{ error }

func (e elsewhere) Unwrap() error { return e.error }

func isElsewhere(err error) bool {
	var e elsewhere
	return errors.As(err, &e)
}

// connectionsOf tells which connections a request carries.
func (w *Worker) connectionsOf(e Asked) (Connections, error) {
	sealed := e.Request.GetCreateVirtualNode().GetSealedConnections()
	if len(sealed) == 0 {
		sealed = e.Request.GetUpdateVirtualNodeDb().GetSealedConnections()
	}
	if len(sealed) == 0 {
		return Connections{}, nil
	}
	ddl, dml, err := w.logins(e.Key, sealed)
	return Connections{DDL: ddl != nil, DML: dml != nil}, err
}

// logins opens sealed connections; nil for one that is not given.
func (w *Worker) logins(entity string, sealed []byte) (ddl, dml *vaultdb.Login, err error) {
	c, err := vaultdb.OpenConnections(w.deps.Key, entity, sealed)
	if err != nil {
		return nil, nil, err
	}
	parse := func(what, text string) (*vaultdb.Login, error) {
		if text == "" {
			return nil, nil //nolint:nilnil // it is not given
		}
		l, err := vaultdb.ParseLogin(text)
		if err != nil {
			return nil, fmt.Errorf("the vault's %s connection: %w", what, err)
		}
		return &l, nil
	}
	if ddl, err = parse("DDL", c.GetVaultDdl()); err != nil {
		return nil, nil, err
	}
	dml, err = parse("DML", c.GetVaultDml())
	return ddl, dml, err
}

// given makes the connections of an operation from what its caller gave; none when the cluster makes them.
func (w *Worker) given(op *clusterdb.Operation) ([]*clusterdb.VaultConnection, error) {
	if len(op.Work.Connections) == 0 {
		return nil, nil
	}
	ddl, dml, err := w.logins(op.Entity, op.Work.Connections)
	if err != nil {
		return nil, invalid(ErrConnections, "%v", err)
	}
	var out []*clusterdb.VaultConnection
	for _, l := range []struct {
		role  clusterdb.RoleName
		login *vaultdb.Login
	}{{clusterdb.DDL, ddl}, {clusterdb.DML, dml}} {
		if l.login == nil {
			continue
		}
		schema := l.login.Schema
		if schema == "" {
			schema = w.vaults.Names(op.Work.ShortHash).Schema
		}
		c, err := w.sealed(op.Work.ShortHash, l.role, l.login.User, l.login.Address, schema, l.login.Password)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func (w *Worker) sealed(hash string, role clusterdb.RoleName, login, address, schema, password string) (*clusterdb.VaultConnection, error) {
	b, err := w.deps.Key.Seal([]byte(password), clusterdb.Place(hash, role)...)
	if err != nil {
		return nil, err
	}
	return &clusterdb.VaultConnection{Role: role, Login: login, Address: address, Schema: schema, Password: b}, nil
}

// own makes the connections of the cluster's own roles, with passwords of this attempt.
func (w *Worker) own(op *clusterdb.Operation) (all []*clusterdb.VaultConnection, ddl, dml string, err error) {
	names := w.vaults.Names(op.Work.ShortHash)
	password := func(role clusterdb.RoleName) string {
		p, derr := w.deps.Key.Derive("vault password", op.Work.ShortHash, string(role), op.Work.Attempt)
		err = errors.Join(err, derr)
		return p
	}
	ddl, dml = password(clusterdb.DDL), password(clusterdb.DML)
	if err != nil {
		return nil, "", "", err
	}
	for _, c := range []struct {
		role            clusterdb.RoleName
		login, password string
	}{{clusterdb.DDL, names.DDL, ddl}, {clusterdb.DML, names.DML, dml}} {
		sealed, err := w.sealed(op.Work.ShortHash, c.role, c.login, "", names.Schema, c.password)
		if err != nil {
			return nil, "", "", err
		}
		all = append(all, sealed)
	}
	return all, ddl, dml, nil
}

// target opens a stored connection; nil when there is none.
func (w *Worker) target(ctx context.Context, hash string, role clusterdb.RoleName) (*vaultdb.Target, error) {
	c, err := clusterdb.Connection(ctx, w.deps.Cluster, hash, role)
	if c == nil || err != nil {
		return nil, err
	}
	return w.opened(hash, c)
}

func (w *Worker) opened(hash string, c *clusterdb.VaultConnection) (*vaultdb.Target, error) {
	password, err := w.deps.Key.Open(c.Password, clusterdb.Place(hash, c.Role)...)
	if err != nil {
		return nil, err
	}
	return &vaultdb.Target{Address: c.Address, Schema: c.Schema, User: c.Login, Password: string(password)}, nil
}

// with connects to a target and runs f. Failures of a database that a caller named are told as such.
func (w *Worker) with(ctx context.Context, t *vaultdb.Target, f func(ctx context.Context, p *postgres.Pool) error) error {
	p, err := w.vaults.Connect(ctx, *t)
	if err != nil {
		return err
	}
	defer p.Close()
	if err = f(ctx, p); err != nil && t.Address != "" && ctx.Err() == nil && postgres.ClassOf(err) == postgres.Unavailable {
		return elsewhere{err}
	}
	return err
}

// dmlOf returns the name of the data role of a virtual node.
func (w *Worker) dmlOf(ctx context.Context, hash string) (string, error) {
	c, err := clusterdb.Connection(ctx, w.deps.Cluster, hash, clusterdb.DML)
	if err != nil {
		return "", err
	}
	if c == nil {
		return "", fmt.Errorf("virtual node %s has no data role", hash)
	}
	return c.Login, nil
}

func (w *Worker) makeSchema(ctx context.Context, op *clusterdb.Operation) Result {
	all, err := w.given(op)
	if err != nil {
		return Result{Err: err}
	}
	if all != nil {
		r := Result{Connections: all, Dropped: missing(all)}
		r.Err = w.tryAll(ctx, op.Work.ShortHash, all)
		return r
	}
	all, ddl, dml, err := w.own(op)
	if err != nil {
		return Result{Err: err}
	}
	if err := w.vaults.Provide(ctx, op.Work.ShortHash, op.Work.Attempt, ddl, dml); err != nil {
		return Result{Err: err}
	}
	t, err := w.opened(op.Work.ShortHash, all[0])
	if err != nil {
		return Result{Err: err}
	}
	err = w.with(ctx, t, func(ctx context.Context, p *postgres.Pool) error {
		return vaultdb.Prepare(ctx, p, t.Schema, w.vaults.Names(op.Work.ShortHash).DML)
	})
	return Result{Connections: all, Err: err}
}

// missing are the roles that have no connection.
func missing(all []*clusterdb.VaultConnection) []clusterdb.RoleName {
	var out []clusterdb.RoleName
	for _, role := range []clusterdb.RoleName{clusterdb.DDL, clusterdb.DML} {
		if !slices.ContainsFunc(all, func(c *clusterdb.VaultConnection) bool { return c.Role == role }) {
			out = append(out, role)
		}
	}
	return out
}

// tryAll connects with connections that a caller gave.
func (w *Worker) tryAll(ctx context.Context, hash string, all []*clusterdb.VaultConnection) error {
	for _, c := range all {
		t, err := w.opened(hash, c)
		if err != nil {
			return err
		}
		if err := w.with(ctx, t, func(ctx context.Context, p *postgres.Pool) error { return p.Ping(ctx) }); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return invalid(ErrConnections, "the vault's %s connection does not work: %v", c.Role, err)
		}
	}
	return nil
}

// migratePlatform makes the platform's tables, or looks whether an administrator made them.
func (w *Worker) migratePlatform(ctx context.Context, op *clusterdb.Operation) Result {
	if len(op.Work.Connections) == 0 {
		_, err := w.vaults.Platform(ctx, op.Work.ShortHash)
		return Result{Err: err}
	}
	role := clusterdb.DDL
	t, err := w.target(ctx, op.Work.ShortHash, role)
	if err == nil && t == nil {
		role = clusterdb.DML
		t, err = w.target(ctx, op.Work.ShortHash, role)
	}
	if err != nil || t == nil {
		return Result{Err: errors.Join(err, notFoundIf(t == nil, op.Work.ShortHash))}
	}
	dml, err := w.dmlOf(ctx, op.Work.ShortHash)
	if err != nil {
		return Result{Err: err}
	}
	err = w.with(ctx, t, func(ctx context.Context, p *postgres.Pool) error {
		if role == clusterdb.DDL {
			return vaultdb.PlatformElsewhere(ctx, p, t.Schema, dml)
		}
		lacks, err := vaultdb.PlatformLacks(ctx, p, t.Schema)
		if err == nil && len(lacks) > 0 {
			err = invalid(ErrSchema, "schema %s lacks the platform's migrations %v, and the cluster has no DDL connection: run the SQL of GET virtualnode/create/db/vault first", t.Schema, lacks)
		}
		return err
	})
	return Result{Err: err}
}

func notFoundIf(is bool, hash string) error {
	if is {
		return fmt.Errorf("virtual node %s has no connection to its schema", hash)
	}
	return nil
}

// migrateApplication runs one migration of the package, or, where the cluster may not, looks whether they ran.
func (w *Worker) migrateApplication(ctx context.Context, op *clusterdb.Operation) Result {
	hash := op.Work.ShortHash
	all, err := clusterdb.CpiMigrations(ctx, w.deps.Cluster, op.Work.Checksum)
	if err != nil {
		return Result{Err: err}
	}
	t, err := w.target(ctx, hash, clusterdb.DDL)
	if err != nil {
		return Result{Err: err}
	}
	if t == nil {
		lacks, err := w.lacks(ctx, hash, all)
		if err == nil && len(lacks) > 0 {
			err = invalid(ErrSchema, "the schema of virtual node %s lacks migrations %v of its package, and the cluster has no DDL connection: run the SQL of GET virtualnode/%s/db/vault/%s first",
				hash, lacks, hash, op.Work.Checksum)
		}
		return Result{Err: err}
	}
	var r Result
	session := 0
	r.Err = w.with(ctx, t, func(ctx context.Context, p *postgres.Pool) error {
		ctx, cancel := context.WithTimeout(ctx, w.cfg.Limits.Whole)
		defer cancel()
		if err := p.One(ctx, []any{&session}, "SELECT pg_backend_pid()"); err != nil {
			return err
		}
		for _, m := range all {
			ran, err := vaultdb.Application(t.Schema, m.Cpk, m.List, w.cfg.Limits).Next(ctx, p)
			if err != nil {
				return err
			}
			if ran != "" {
				r.Again, r.Stage = true, stageApplication+": "+m.Cpk+" "+ran
				return nil
			}
		}
		if err := w.noStrays(ctx, t, hash); err != nil {
			return err
		}
		return w.captureChanges(ctx, p, op.Work.Checksum)
	})
	if session != 0 && errors.Is(r.Err, context.DeadlineExceeded) && ctx.Err() == nil {
		w.endSession(ctx, hash, t, session)
		r.Err = invalid(ErrMigration, "%v: it ran longer than %s and was ended; make it do less at a time, or run it yourself before", r.Err, w.cfg.Limits.Whole)
	}
	if failed := (*postgres.MigrationError)(nil); errors.As(r.Err, &failed) && again(r.Err) == nil {
		r.Err = invalid(ErrMigration, "%v", failed)
	}
	return r
}

// noStrays refuses what migrations made under names of fairlead's own.
func (w *Worker) noStrays(ctx context.Context, t *vaultdb.Target, hash string) error {
	if t.Address != "" {
		return nil // that database is its administrator's, catalogs too
	}
	strays, err := w.vaults.Strays(ctx, hash)
	if err == nil && len(strays) > 0 {
		err = invalid(ErrStatement, "the package's migrations make %s; what begins with %s or %s is kept for fairlead's own: choose other names",
			strings.Join(strays, ", "), rows.Reserved, rows.ReservedHistory)
	}
	return err
}

// endSession ends a migration that is out of time and that nobody waits for any more: it may have caught its
// cancellation, and would keep a processor of the server busy for ever.
func (w *Worker) endSession(ctx context.Context, hash string, t *vaultdb.Target, pid int) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.TransactionTimeout)
	defer cancel()
	if err := w.vaults.End(ctx, *t, pid); err != nil {
		w.deps.Log.Warn("a migration that is out of time could not be ended in the server: end its session there", "vnode", hash, "pid", pid, "error", err)
	}
}

// captureChanges makes the triggers that the package's declarations ask for.
func (w *Worker) captureChanges(ctx context.Context, p *postgres.Pool, checksum string) error {
	cpi, err := clusterdb.Cpi(ctx, w.deps.Cluster, checksum)
	if err != nil || cpi == nil {
		return err
	}
	declared, err := rows.CompilePackage(cpi)
	if err != nil {
		return invalid(ErrSchema, "package %s: %v", checksum, err)
	}
	err = vaultdb.Feed(ctx, p, declared)
	if c := postgres.ClassOf(err); c == postgres.Statement || c == postgres.Access {
		return invalid(ErrSchema, "package %s declares tables that its migrations do not make: %v", checksum, err)
	}
	return err
}

// lacks are the migrations that have not run in a virtual node's schema.
func (w *Worker) lacks(ctx context.Context, hash string, all []clusterdb.Migrations) ([]string, error) {
	t, err := w.target(ctx, hash, clusterdb.DML)
	if err != nil || t == nil {
		return nil, errors.Join(err, notFoundIf(err == nil, hash))
	}
	var out []string
	err = w.with(ctx, t, func(ctx context.Context, p *postgres.Pool) error {
		for _, m := range all {
			pending, err := vaultdb.Application(t.Schema, m.Cpk, m.List, w.cfg.Limits).Pending(ctx, p)
			if err != nil {
				return err
			}
			for _, x := range pending {
				out = append(out, m.Cpk+" "+x.Name)
			}
		}
		return nil
	})
	return out, err
}

// pendingOf are the migrations that a virtual node lacks of its package.
func (w *Worker) pendingOf(ctx context.Context, hash string) ([]string, error) {
	v, err := clusterdb.VirtualNode(ctx, w.deps.Cluster, hash)
	if v == nil || err != nil {
		return nil, err
	}
	all, err := clusterdb.CpiMigrations(ctx, w.deps.Cluster, v.GetCpiChecksum())
	if err != nil || len(all) == 0 {
		return nil, err
	}
	lacks, err := w.lacks(ctx, v.GetShortHash(), all)
	if failed := (*postgres.MigrationError)(nil); errors.As(err, &failed) {
		return []string{failed.Error()}, nil
	}
	if isElsewhere(err) || postgres.ClassOf(err) == postgres.Access {
		return []string{"(its database does not answer: " + err.Error() + ")"}, nil
	}
	return lacks, err
}

// reset drops the application's tables.
func (w *Worker) reset(ctx context.Context, op *clusterdb.Operation) Result {
	hash := op.Work.ShortHash
	t, err := w.target(ctx, hash, clusterdb.DDL)
	if err != nil || t == nil {
		return Result{Err: errors.Join(err, notFoundIf(err == nil, hash))}
	}
	dml, err := w.dmlOf(ctx, hash)
	if err != nil {
		return Result{Err: err}
	}
	drop := func(ctx context.Context, p *postgres.Pool) error { return vaultdb.Reset(ctx, p, t.Schema) }
	if t.Address == "" {
		// The role loses what it was given together with what it owns, so the cluster gives it again.
		if err := w.vaults.Regrant(ctx, hash); err != nil {
			return Result{Err: err}
		}
		if err := w.with(ctx, t, drop); err != nil {
			return Result{Err: err}
		}
		if err := w.vaults.Regrant(ctx, hash); err != nil {
			return Result{Err: err}
		}
		return Result{Err: w.with(ctx, t, func(ctx context.Context, p *postgres.Pool) error { return vaultdb.Prepare(ctx, p, t.Schema, dml) })}
	}
	return Result{Err: refuseReset(t.Schema)}
}

func refuseReset(schema string) error {
	return invalid(ErrState, "schema %s is in a database that is not the cluster's: its administrator makes the application's tables anew", schema)
}

// reconnect makes or tries the connections that a virtual node shall have.
func (w *Worker) reconnect(ctx context.Context, op *clusterdb.Operation) Result {
	all, err := w.given(op)
	if err != nil {
		return Result{Err: err}
	}
	if all != nil {
		return Result{Connections: all, Dropped: missing(all), Err: w.tryAll(ctx, op.Work.ShortHash, all)}
	}
	all, ddl, dml, err := w.own(op)
	if err != nil {
		return Result{Err: err}
	}
	there, err := w.vaults.Exists(ctx, op.Work.ShortHash)
	if err == nil && !there {
		err = invalid(ErrConnections, "virtual node %s has no schema in the cluster's database: give its connections", op.Work.ShortHash)
	}
	names := w.vaults.Names(op.Work.ShortHash)
	if err == nil {
		err = w.vaults.SetPassword(ctx, names.DDL, ddl)
	}
	if err == nil {
		err = w.vaults.SetPassword(ctx, names.DML, dml)
	}
	return Result{Connections: all, Err: err}
}

// finish looks at the connections that the virtual node now has.
func (w *Worker) finish(ctx context.Context, op *clusterdb.Operation) Result {
	var r Result
	for _, role := range []clusterdb.RoleName{clusterdb.DDL, clusterdb.DML} {
		c, err := clusterdb.Connection(ctx, w.deps.Cluster, op.Work.ShortHash, role)
		if err != nil {
			return Result{Err: err}
		}
		if c != nil {
			r.Connections = append(r.Connections, c)
		}
	}
	return r
}
