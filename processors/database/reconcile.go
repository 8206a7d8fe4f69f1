package database

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/topics"
)

// View is a compacted topic in memory.
type View interface {
	Get(key string) (msg any, ok bool)
	All() iter.Seq2[string, any]
}

// leadership is the advisory lock of the process that reconciles.
const leadership = "reconciler"

// reconcile compares database and topics, at start and at intervals, while this process leads. It writes no fact
// itself: it asks for them under their entities' keys. A comparison that fails is logged and tried again at the next
// interval; it stops no other.
func (w *Worker) reconcile(ctx context.Context) {
	tick := time.NewTicker(w.cfg.Reconcile)
	defer tick.Stop()
	for {
		_, err := w.deps.Cluster.Lead(ctx, leadership, w.lead)
		if err != nil && ctx.Err() == nil && w.gate.closed() == nil {
			w.deps.Log.Warn("the reconciler stopped and will try again", "error", err)
			if postgres.ClassOf(err) == postgres.Unavailable {
				w.gate.shut(err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (w *Worker) lead(ctx context.Context) error {
	kept := make(chan struct{})
	go func() { // beside: a migration may take long, or a database be slow
		defer close(kept)
		w.keepSchemas(ctx)
	}()
	defer func() { <-kept }() // ctx has ended
	tick := time.NewTicker(w.cfg.Reconcile)
	defer tick.Stop()
	for {
		if w.gate.closed() == nil {
			w.compareAll(ctx)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// compareAll runs every comparison, whatever became of the others.
func (w *Worker) compareAll(ctx context.Context) {
	for _, topic := range slices.Sorted(maps.Keys(w.deps.Published)) {
		if err := w.compare(ctx, topic, w.deps.Published[topic]); err != nil && ctx.Err() == nil {
			w.deps.Log.Warn("a topic could not be compared with the database", "topic", topic, "error", err)
		}
	}
	if err := w.stuck(ctx); err != nil && ctx.Err() == nil {
		w.deps.Log.Warn("operations could not be looked after", "error", err)
	}
	if err := clusterdb.Forget(ctx, w.deps.Cluster, w.cfg.Keep); err != nil && ctx.Err() == nil {
		w.deps.Log.Warn("old requests could not be dropped", "error", err)
	}
}

// compare asks for the facts of a topic that are missing, old, or should not be there.
func (w *Worker) compare(ctx context.Context, topic string, view View) error {
	want, err := clusterdb.Versions(ctx, w.deps.Cluster, topic)
	if err != nil {
		return err
	}
	keys := differing(want, view)
	if len(keys) > 0 {
		w.deps.Log.Info("facts differ from the database and are published again", "topic", topic, "facts", len(keys), "first", keys[0])
	}
	for _, key := range keys {
		w.cfg.Metrics.reconciled(topic)
		if err := w.deps.Ask(ctx, EntityOf(topic, key), republishRequest(topic, key)); err != nil {
			return fmt.Errorf("ask for %s of %s: %w", key, topic, err)
		}
	}
	return nil
}

// differing are the keys whose published version is not the database's, sorted.
func differing(want map[string]uint64, view View) []string {
	var out []string
	for key, version := range want {
		m, ok := view.Get(key)
		if !ok || clusterdb.VersionOf(m) < version {
			out = append(out, key)
		}
	}
	for key := range view.All() {
		if _, ok := want[key]; !ok {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

// stuckAfter is how long an operation may stand still before it is pushed.
const stuckAfter = time.Minute

// stuck pushes operations that did not end and stand still: a restore may have lost their records.
func (w *Worker) stuck(ctx context.Context) error {
	all, err := clusterdb.StuckOperations(ctx, w.deps.Cluster, stuckAfter)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if err := w.deps.Ask(ctx, all[id], republishRequest(topics.OperationStatus, id)); err != nil {
			return fmt.Errorf("push operation %s: %w", id, err)
		}
	}
	return nil
}
