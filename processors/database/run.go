package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/vaultdb"
)

// Run makes the database ready, opens the gate, and from then on reconciles and looks after Postgres, until ctx ends.
// It returns only then, or when the database can never be used: its schema is of a newer version, or PUBLIC may do what
// it must not.
func (w *Worker) Run(ctx context.Context) error {
	w.cfg.Metrics.isAway(true)
	if err := w.untilThere(ctx, w.prepare); err != nil || ctx.Err() != nil {
		return err
	}
	w.gate.open()
	w.cfg.Metrics.isAway(false)
	reconciled := make(chan struct{})
	rctx, stop := context.WithCancel(ctx)
	go func() {
		defer close(reconciled)
		w.reconcile(rctx)
	}()
	defer func() {
		stop()
		<-reconciled
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.gate.shutting:
		}
		w.cfg.Metrics.isAway(true)
		w.deps.Log.Warn("Postgres is away: the database group is paused", "reason", w.gate.closed())
		if err := w.untilThere(ctx, w.ping); err != nil || ctx.Err() != nil {
			return err
		}
		w.gate.open()
		w.cfg.Metrics.isAway(false)
		w.deps.Log.Info("Postgres is back: the database group goes on")
	}
}

// untilThere repeats f as long as Postgres is away. It returns nil also when ctx ended.
func (w *Worker) untilThere(ctx context.Context, f func(context.Context) error) error {
	told := false
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := f(ctx)
		if err == nil || ctx.Err() != nil {
			return nil //nolint:nilerr // a clean stop
		}
		if again(err) == nil {
			return err
		}
		if !told {
			told = true
			w.deps.Log.Warn("Postgres cannot be used yet", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (w *Worker) ping(ctx context.Context) error {
	return errors.Join(w.deps.Cluster.Ping(ctx), w.deps.Vaults.Ping(ctx))
}

// prepare migrates the cluster's tables, closes the database of virtual nodes to tenants' tricks, and makes the first
// administrator and the default roles.
func (w *Worker) prepare(ctx context.Context) error {
	m, err := clusterdb.Migrator()
	if err != nil {
		return err
	}
	ran, err := m.Run(ctx, w.deps.Cluster)
	if err != nil {
		return fmt.Errorf("migrate the cluster's database: %w", err)
	}
	if len(ran) > 0 {
		w.deps.Log.Info("the cluster's database was migrated", "migrations", ran)
	}
	id, err := clusterdb.ClusterID(ctx, w.deps.Cluster)
	if err != nil {
		return fmt.Errorf("read the cluster's id: %w", err)
	}
	vaults := vaultdb.New(w.deps.Vaults, id)
	if err := vaults.Harden(ctx); err != nil {
		return fmt.Errorf("harden the database of virtual nodes: %w", err)
	}
	w.vaults = vaults
	return w.bootstrap(ctx)
}
