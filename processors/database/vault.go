package database

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/internal/vaultdb"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
)

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

func (w *Worker) makeSchema(ctx context.Context, op *clusterdb.Operation) Result {
	all, err := w.given(op)
	if err != nil {
		return Result{Err: err}
	}
	if all != nil {
		return w.try(ctx, op, all)
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

// migrateApplication runs one migration of the package, or, where the cluster may not, looks whether they ran.
func (w *Worker) migrateApplication(ctx context.Context, op *clusterdb.Operation) Result {
	hash := op.Work.ShortHash
	all, err := clusterdb.CpiMigrations(ctx, w.deps.Cluster, op.Work.Checksum)
	if err != nil {
		return Result{Err: err}
	}
	ddl, dml, err := w.targets(ctx, op)
	if err != nil {
		return Result{Err: err}
	}
	declared, err := w.declared(ctx, op.Work.Checksum)
	if err != nil {
		return Result{Err: err}
	}
	if ddl == nil {
		lacks, err := w.lacks(ctx, dml, all)
		if err == nil && len(lacks) > 0 {
			err = invalid(ErrSchema, "schema %s of virtual node %s lacks migrations %v of its package, and the cluster has no DDL connection: run the SQL of GET virtualnode/%s first",
				dml.Schema, hash, lacks, sqlPath(op))
		}
		if err == nil {
			err = w.usable(ctx, op, dml, declared, true)
		}
		if err == nil {
			err = w.fits(ctx, op, dml, declared)
		}
		return Result{Err: err}
	}
	var r Result
	session := 0
	// Its own limit ends it first, and its session in the server.
	r.Err = w.within(ctx, 2*w.cfg.Limits.Whole, ddl, func(ctx context.Context, p *postgres.Pool) error {
		ctx, cancel := context.WithTimeout(ctx, w.cfg.Limits.Whole)
		defer cancel()
		if err := p.One(ctx, []any{&session}, "SELECT pg_backend_pid()"); err != nil {
			return err
		}
		for _, m := range all {
			ran, err := vaultdb.Application(ddl.Schema, m.Cpk, m.List, w.cfg.Limits).Next(ctx, p)
			if err != nil {
				return err
			}
			if ran != "" {
				r.Again, r.Stage = true, stageApplication+": "+m.Cpk+" "+ran
				return nil
			}
		}
		if err := w.noStrays(ctx, ddl, hash); err != nil {
			return err
		}
		return captureChanges(ctx, p, ddl.Schema, declared, op.Work.Checksum)
	})
	if session != 0 && errors.Is(r.Err, context.DeadlineExceeded) && ctx.Err() == nil {
		w.endSession(ctx, hash, ddl, session)
		r.Err = invalid(ErrMigration, "%v: it ran longer than %s and was ended; make it do less at a time, or run it yourself before", r.Err, w.cfg.Limits.Whole)
	}
	if failed := (*postgres.MigrationError)(nil); errors.As(r.Err, &failed) && again(r.Err) == nil {
		r.Err = invalid(ErrMigration, "%v", failed)
	}
	if r.Err == nil && !r.Again {
		r.Err = w.usable(ctx, op, dml, declared, false)
	}
	if r.Err == nil && !r.Again {
		r.Err = w.fits(ctx, op, dml, declared)
	}
	return r
}

// fits refuses a package whose tables and named queries the schema does not take: the first flow that needs them would
// fail. A package that is there already may have one that nobody uses, which must not keep its virtual node from another
// database or password.
func (w *Worker) fits(ctx context.Context, op *clusterdb.Operation, dml *vaultdb.Target, declared *rows.Schema) error {
	if declared == nil || op.Status.GetKind() == operationv1.OperationKind_OPERATION_KIND_CHANGE_VIRTUAL_NODE_DB {
		return nil
	}
	return w.with(ctx, dml, func(ctx context.Context, p *postgres.Pool) error {
		misfits, err := vaultdb.Misfits(ctx, p, declared)
		if err != nil || len(misfits) == 0 {
			return err
		}
		cpi, err := clusterdb.Cpi(ctx, w.deps.Cluster, op.Work.Checksum)
		if err != nil {
			return err
		}
		home := homes(cpi)
		var problems []string
		for _, m := range misfits {
			problems = append(problems, fmt.Sprintf("%s (fairlead.yaml of %s): %s", m.What, home[m.What], m.Reason))
		}
		return invalid(ErrDeclared, "the migrations of the package do not make what it declares: %s; correct fairlead.yaml, or add a migration", strings.Join(problems, "; "))
	})
}

// homes tell in which package of code each table and query is declared, by what [vaultdb.Misfit] calls them.
func homes(c *cpiv1.Cpi) map[string]string {
	out := map[string]string{}
	for _, cpk := range c.GetCpks() {
		for _, t := range cpk.GetTables() {
			out[`table "`+t.GetName()+`"`] = cpk.GetName()
		}
		for _, q := range cpk.GetQueries() {
			out[`query "`+q.GetName()+`"`] = cpk.GetName()
		}
	}
	return out
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

// declared is what a package declares of its tables; nil for a package that is not there.
func (w *Worker) declared(ctx context.Context, checksum string) (*rows.Schema, error) {
	cpi, err := clusterdb.Cpi(ctx, w.deps.Cluster, checksum)
	if err != nil || cpi == nil {
		return nil, err
	}
	declared, err := rows.CompilePackage(cpi)
	if err != nil {
		return nil, invalid(ErrSchema, "package %s: %v", checksum, err)
	}
	return declared, nil
}

// captureChanges makes the triggers that the package's declarations ask for.
func captureChanges(ctx context.Context, p *postgres.Pool, schema string, declared *rows.Schema, checksum string) error {
	if declared == nil {
		return nil
	}
	err := vaultdb.Feed(ctx, p, schema, declared)
	if c := postgres.ClassOf(err); c == postgres.Statement || c == postgres.Access {
		return invalid(ErrSchema, "package %s declares tables that its migrations do not make: %v", checksum, err)
	}
	return err
}

// lacks are the migrations that have not run in a schema.
func (w *Worker) lacks(ctx context.Context, dml *vaultdb.Target, all []clusterdb.Migrations) ([]string, error) {
	var out []string
	err := w.with(ctx, dml, func(ctx context.Context, p *postgres.Pool) error {
		for _, m := range all {
			pending, err := vaultdb.Application(dml.Schema, m.Cpk, m.List, w.cfg.Limits).Pending(ctx, p)
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
	dml, err := w.target(ctx, v.GetShortHash(), clusterdb.DML)
	if err != nil || dml == nil {
		return nil, errors.Join(err, notFoundIf(err == nil, hash))
	}
	lacks, err := w.lacks(ctx, dml, all)
	if failed := (*postgres.MigrationError)(nil); errors.As(err, &failed) {
		return []string{failed.Error()}, nil
	}
	if refused := (*refusal)(nil); errors.As(err, &refused) || postgres.ClassOf(err) == postgres.Access {
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
		return w.try(ctx, op, all)
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

// finish looks at the connections that the virtual node now has, or shall have from here on.
func (w *Worker) finish(ctx context.Context, op *clusterdb.Operation) Result {
	all, err := w.given(op)
	if all != nil || err != nil {
		return Result{Connections: all, Dropped: missing(all), Err: err}
	}
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
