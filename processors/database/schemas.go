package database

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/vaultdb"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
)

// This file brings the platform's tables of virtual nodes to the present version: in operations, and, after an upgrade
// of fairlead, those that exist.

// migratePlatform makes the platform's tables, or looks whether an administrator made them.
func (w *Worker) migratePlatform(ctx context.Context, op *clusterdb.Operation) Result {
	ddl, dml, err := w.targets(ctx, op)
	if err != nil {
		return Result{Err: err}
	}
	remedy := "run the SQL of GET virtualnode/create/db/vault/" + op.Work.Checksum + " (or let the connection name another schema, with ?currentSchema=)"
	if op.Status.GetKind() == operationv1.OperationKind_OPERATION_KIND_UPGRADE_VIRTUAL_NODE {
		remedy = "run the SQL of GET virtualnode/" + sqlPath(op)
	}
	_, err = w.platform(ctx, op.Work.ShortHash, ddl, dml, remedy)
	if err != nil || op.Status.GetKind() != operationv1.OperationKind_OPERATION_KIND_UPGRADE_VIRTUAL_NODE {
		return Result{Err: err}
	}
	return w.loses(ctx, op, dml)
}

// platform brings the platform's tables of a schema to the present version and returns the migrations that ran. Where the
// cluster may not, it looks whether they are there, and the error says the remedy.
func (w *Worker) platform(ctx context.Context, hash string, ddl, dml *vaultdb.Target, remedy string) (ran []string, err error) {
	switch {
	case dml.Address == "":
		return w.vaults.Platform(ctx, hash)
	case ddl != nil:
		err = w.within(ctx, w.cfg.Limits.Whole, ddl, func(ctx context.Context, p *postgres.Pool) (err error) {
			ran, err = vaultdb.PlatformElsewhere(ctx, p, ddl.Schema, dml.User)
			return err
		})
		if refused := (*refusal)(nil); err != nil && ctx.Err() == nil && again(err) == nil && !errors.As(err, &refused) {
			err = invalid(ErrSchema, "the platform's tables cannot be made in schema %s at %s as user %s: %v", ddl.Schema, ddl.Address, ddl.User, err)
		}
		return ran, err
	default:
		lacks, err := w.platformLacks(ctx, dml)
		if err == nil && len(lacks) > 0 {
			err = invalid(ErrSchema, "schema %s lacks the platform's migrations %v, and the cluster has no DDL connection: %s", dml.Schema, lacks, remedy)
		}
		return nil, err
	}
}

func (w *Worker) platformLacks(ctx context.Context, dml *vaultdb.Target) (lacks []string, err error) {
	err = w.with(ctx, dml, func(ctx context.Context, p *postgres.Pool) (err error) {
		lacks, err = vaultdb.PlatformLacks(ctx, p, dml.Schema)
		return err
	})
	return lacks, err
}

// keepSchemas looks after the schemas of virtual nodes that exist, one after the other, while this process leads: a new
// version of fairlead may bring tables that they lack. Each migration is a transaction of its own, so that whoever leads
// next goes on from there.
func (w *Worker) keepSchemas(ctx context.Context) {
	k := keeper{present: map[string]string{}, told: map[string]string{}}
	defer w.cfg.Metrics.schemasBehind(0)
	tick := time.NewTicker(w.cfg.Reconcile)
	defer tick.Stop()
	for {
		if w.gate.closed() == nil {
			if err := w.keepOnce(ctx, k); err != nil && ctx.Err() == nil {
				w.deps.Log.Warn("the schemas of virtual nodes could not be looked after", "error", err)
				if postgres.ClassOf(err) == postgres.Unavailable {
					w.gate.shut(err)
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// keepOnce looks at every schema that is not known to be present. It ends early when the cluster's Postgres is away.
func (w *Worker) keepOnce(ctx context.Context, k keeper) error {
	all, err := clusterdb.VaultSchemas(ctx, w.deps.Cluster)
	if err != nil {
		return err
	}
	due := k.due(all)
	behind := len(due)
	w.cfg.Metrics.schemasBehind(behind)
	for _, s := range due {
		if s.Busy {
			continue // its operation may change the connections, or the schema
		}
		ran, err := w.bring(ctx, s)
		if postgres.ClassOf(err) == postgres.Unavailable || ctx.Err() != nil {
			return err
		}
		news := k.looked(s, err)
		switch {
		case err != nil:
			w.cfg.Metrics.schema("failed")
			if news {
				w.deps.Log.Error("the schema of a virtual node is of an older version; what needs its new tables fails", "id", ErrSchema, "vnode", s.ShortHash, "schema", s.Schema, "error", err)
			}
			continue
		case len(ran) > 0:
			w.cfg.Metrics.schema("migrated")
			w.deps.Log.Info("the schema of a virtual node was brought to the present version", "vnode", s.ShortHash, "schema", s.Schema, "migrations", ran)
		default:
			w.cfg.Metrics.schema("present")
			if news {
				w.deps.Log.Info("the schema of a virtual node has what this version needs", "vnode", s.ShortHash, "schema", s.Schema)
			}
		}
		behind--
		w.cfg.Metrics.schemasBehind(behind)
	}
	return nil
}

// bring brings one schema to the present version and returns the migrations that ran.
func (w *Worker) bring(ctx context.Context, s clusterdb.VaultSchema) ([]string, error) {
	dml, err := w.target(ctx, s.ShortHash, clusterdb.DML)
	if err != nil || dml == nil {
		return nil, errors.Join(err, notFoundIf(err == nil, s.ShortHash))
	}
	remedy := fmt.Sprintf("run the SQL of GET virtualnode/%s/db/vault/%s as the owner of the schema", s.ShortHash, s.Checksum)
	var ddl *vaultdb.Target
	if dml.Address != "" {
		// Looking needs no more than the data role may.
		lacks, err := w.platformLacks(ctx, dml)
		if err != nil {
			return nil, err
		}
		if len(lacks) > 0 {
			if ddl, err = w.target(ctx, s.ShortHash, clusterdb.DDL); err != nil {
				return nil, err
			}
		}
	}
	ran, err := w.platform(ctx, s.ShortHash, ddl, dml, remedy)
	if err != nil {
		if ddl != nil && again(err) == nil {
			err = fmt.Errorf("%w; let user %s own the schema and its tables, or %s", err, ddl.User, remedy)
		}
		return nil, err
	}
	if dml.Address == "" {
		return ran, nil
	}
	return ran, w.with(ctx, dml, func(ctx context.Context, p *postgres.Pool) error {
		lacks, err := vaultdb.DataLacks(ctx, p, dml.Schema, nil, false)
		if err == nil && len(lacks) > 0 {
			err = invalid(ErrSchema, "user %s of the vault's DML connection lacks in schema %s: %s; the SQL of GET virtualnode/%s/db/vault/%s ends with the grants",
				dml.User, dml.Schema, strings.Join(lacks, "; "), s.ShortHash, s.Checksum)
		}
		return err
	})
}

// keeper is what the process that leads remembers of schemas.
type keeper struct {
	// present are the places, by virtual node, of schemas that have what this version needs.
	present map[string]string
	// told is what was last said about a virtual node.
	told map[string]string
}

func placeOf(s clusterdb.VaultSchema) string { return s.Address + "\x00" + s.Schema }

// due are the schemas that are not known to be present: new ones, those that moved, those that failed before.
func (k keeper) due(all []clusterdb.VaultSchema) []clusterdb.VaultSchema {
	var out []clusterdb.VaultSchema
	for _, s := range all {
		if place, known := k.present[s.ShortHash]; !known || place != placeOf(s) {
			out = append(out, s)
		}
	}
	return out
}

// looked remembers how it stands with a schema, and tells whether that is news.
func (k keeper) looked(s clusterdb.VaultSchema, err error) bool {
	if err == nil {
		k.present[s.ShortHash] = placeOf(s)
		_, was := k.told[s.ShortHash]
		delete(k.told, s.ShortHash)
		return was
	}
	delete(k.present, s.ShortHash)
	before := k.told[s.ShortHash]
	k.told[s.ShortHash] = err.Error()
	return before != err.Error()
}
