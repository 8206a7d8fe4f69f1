package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/internal/vaultdb"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
)

// This file holds how a virtual node's schema is reached: in the cluster's own database, or in one that a caller named.

// connectionsOf tells which connections a request carries. What is wrong with them is in ConnectionsErr.
func (w *Worker) connectionsOf(ctx context.Context, e *Asked) (c Connections, err error) {
	hash := e.Request.GetUpdateVirtualNodeDb().GetShortHash()
	sealed := e.Request.GetCreateVirtualNode().GetSealedConnections()
	if hash != "" {
		sealed = e.Request.GetUpdateVirtualNodeDb().GetSealedConnections()
	}
	var ddl, dml *vaultdb.Login
	if len(sealed) > 0 {
		if ddl, dml, e.ConnectionsErr = w.logins(e.Key, sealed); e.ConnectionsErr != nil {
			return c, nil //nolint:nilerr // the step answers with it
		}
		c.DDL, c.DML = ddl != nil, dml != nil
	}
	if hash == "" {
		return c, nil
	}
	now, err := clusterdb.Connection(ctx, w.deps.Cluster, hash, clusterdb.DML)
	if now == nil || err != nil {
		return c, err
	}
	c.Theirs = now.Address != ""
	c.Moves = dml != nil && (now.Address != dml.Address || now.Schema != w.schemaOf(hash, dml))
	return c, nil
}

// schemaOf is the schema that a given connection is for.
func (w *Worker) schemaOf(hash string, l *vaultdb.Login) string {
	if l.Schema != "" {
		return l.Schema
	}
	return w.vaults.Names(hash).Schema
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
	if dml, err = parse("DML", c.GetVaultDml()); err != nil {
		return nil, nil, err
	}
	if ddl != nil && dml != nil && ddl.Schema != dml.Schema {
		return nil, nil, fmt.Errorf("the vault's DDL connection is for schema %q and its DML connection for %q: let both name the same, with ?currentSchema=", ddl.Schema, dml.Schema)
	}
	return ddl, dml, nil
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
		schema := w.schemaOf(op.Work.ShortHash, l.login)
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

// targets are the schema that an operation works on, as its roles reach it: what its caller gave, else what the virtual
// node has. There is no ddl where an administrator runs the migrations.
func (w *Worker) targets(ctx context.Context, op *clusterdb.Operation) (ddl, dml *vaultdb.Target, err error) {
	hash := op.Work.ShortHash
	all, err := w.given(op)
	if err != nil {
		return nil, nil, err
	}
	if all == nil {
		ddl, err = w.target(ctx, hash, clusterdb.DDL)
		if err == nil {
			dml, err = w.target(ctx, hash, clusterdb.DML)
		}
	}
	for _, c := range all {
		t, oerr := w.opened(hash, c)
		err = errors.Join(err, oerr)
		if c.Role == clusterdb.DDL {
			ddl = t
		} else {
			dml = t
		}
	}
	return ddl, dml, errors.Join(err, notFoundIf(err == nil && dml == nil, hash))
}

// with connects to a target and runs f, within the time that a caller's database has. What fails in a database that a
// caller named is the caller's to repair: waiting for it helps nobody, so it is a refusal.
func (w *Worker) with(ctx context.Context, t *vaultdb.Target, f func(ctx context.Context, p *postgres.Pool) error) error {
	return w.within(ctx, w.cfg.CallerTimeout, t, f)
}

// within is with for what may take longer, such as migrations; whether the database answers at all is found out before.
func (w *Worker) within(ctx context.Context, limit time.Duration, t *vaultdb.Target, f func(ctx context.Context, p *postgres.Pool) error) error {
	p, err := w.vaults.Connect(ctx, *t)
	if err != nil {
		return err
	}
	if t.Address == "" {
		defer p.Close()
		return f(ctx, p)
	}
	silent := false
	defer func() {
		if silent { // closing takes long too
			w.jobs.beside(p.Close)
			return
		}
		p.Close()
	}()
	bounded := func(limit time.Duration, f func(ctx context.Context) error) error {
		in, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		err := f(in)
		if silent = err != nil && in.Err() != nil; silent && ctx.Err() == nil {
			return invalid(ErrConnections, "the database of user %s at %s did not answer within %s: look whether it works, and what lies between", t.User, t.Address, limit)
		}
		return err
	}
	if limit > w.cfg.CallerTimeout {
		err = bounded(w.cfg.CallerTimeout, p.Ping)
	}
	if err == nil {
		err = bounded(limit, func(ctx context.Context) error { return f(ctx, p) })
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	failed := (*postgres.MigrationError)(nil)
	switch class := postgres.ClassOf(err); {
	case class == postgres.Unavailable:
		return invalid(ErrConnections, "the database of user %s at %s cannot be reached: %v", t.User, t.Address, err)
	case class == postgres.Access && !errors.As(err, &failed):
		return invalid(ErrConnections, "user %s may not do what it must in schema %s at %s, or may not log in: %v", t.User, t.Schema, t.Address, err)
	default:
		return err
	}
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

func notFoundIf(is bool, hash string) error {
	if is {
		return fmt.Errorf("virtual node %s has no connection to its schema", hash)
	}
	return nil
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

// try connects with what a caller gave.
func (w *Worker) try(ctx context.Context, op *clusterdb.Operation, all []*clusterdb.VaultConnection) Result {
	r := Result{Connections: all, Dropped: missing(all)}
	for _, c := range all {
		t, err := w.opened(op.Work.ShortHash, c)
		if err == nil {
			err = w.with(ctx, t, func(ctx context.Context, p *postgres.Pool) error { return p.Ping(ctx) })
		}
		if err == nil {
			err = w.taken(ctx, op.Work.ShortHash, c)
		}
		if refused := (*refusal)(nil); errors.As(err, &refused) {
			err = invalid(ErrConnections, "the vault's %s connection does not work: %s", strings.ToUpper(string(c.Role)), refused.err.GetMessage())
		} else if err != nil && ctx.Err() == nil && again(err) == nil {
			err = invalid(ErrConnections, "the vault's %s connection does not work: %v", strings.ToUpper(string(c.Role)), err)
		}
		if err != nil {
			r.Err = err
			return r
		}
	}
	return r
}

// taken refuses a schema that is another virtual node's: they would take each other's changes for their own.
func (w *Worker) taken(ctx context.Context, hash string, c *clusterdb.VaultConnection) error {
	users, err := clusterdb.SchemaUsers(ctx, w.deps.Cluster, c.Address, c.Schema)
	if err != nil {
		return err
	}
	for _, other := range users {
		if other != hash {
			return invalid(ErrConnections, "schema %s is that of virtual node %s: each needs its own, which the connection names with ?currentSchema=", c.Schema, other)
		}
	}
	return nil
}

// usable looks whether the data role can work with a schema that the cluster did not make.
func (w *Worker) usable(ctx context.Context, op *clusterdb.Operation, dml *vaultdb.Target, declared *rows.Schema, byHand bool) error {
	if dml.Address == "" {
		return nil
	}
	return w.with(ctx, dml, func(ctx context.Context, p *postgres.Pool) error {
		lacks, err := vaultdb.DataLacks(ctx, p, dml.Schema, declared, byHand)
		if err == nil && len(lacks) > 0 {
			err = invalid(ErrSchema, "user %s of the vault's DML connection lacks in schema %s: %s; the SQL of GET virtualnode/%s makes it, and ends with the grants",
				dml.User, dml.Schema, strings.Join(lacks, "; "), sqlPath(op))
		}
		return err
	})
}

// sqlPath is where the SQL for an operation's schema is served.
func sqlPath(op *clusterdb.Operation) string {
	if op.Status.GetKind() == operationv1.OperationKind_OPERATION_KIND_CREATE_VIRTUAL_NODE {
		return "create/db/vault/" + op.Work.Checksum
	}
	return op.Work.ShortHash + "/db/vault/" + op.Work.Checksum
}
