package database

import (
	"context"
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/ledgerstore"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/vaultdb"
)

// maxLost is how many kinds of states a message names.
const maxLost = 10

// loses refuses an upgrade, before its migrations run, after which the virtual node could not consume states that it can
// consume now: such as money. A forced one goes on, and says so.
func (w *Worker) loses(ctx context.Context, op *clusterdb.Operation, dml *vaultdb.Target) Result {
	lost, remedy, err := w.lost(ctx, op, dml)
	switch {
	case err != nil && (!op.Work.Force || again(err) != nil):
		return Result{Err: err}
	case err != nil:
		lost = fmt.Sprintf("it is not known whether the virtual node keeps states that it could not consume: %v", err)
	case lost == "":
		return Result{}
	}
	if op.Work.Force {
		w.deps.Log.Warn("an upgrade was forced", "id", ErrStates, "vnode", op.Work.ShortHash, "operation", op.Status.GetRequestId(), "actor", op.Work.Actor, "reason", lost)
		return Result{Overridden: []string{lost}}
	}
	return Result{Err: invalid(ErrStates, "%s. Its package and its migrations are as before: %s; or force it (fairlead vnode upgrade --force, REST forceupgrade=true)", lost, remedy)}
}

// lost says which states an upgrade would make unconsumable, or that they could not be counted in time, and what helps;
// nothing when there are none.
func (w *Worker) lost(ctx context.Context, op *clusterdb.Operation, dml *vaultdb.Target) (text, remedy string, err error) {
	v, err := clusterdb.VirtualNode(ctx, w.deps.Cluster, op.Work.ShortHash)
	if err != nil || v == nil {
		return "", "", err
	}
	now, err := clusterdb.Cpi(ctx, w.deps.Cluster, v.GetCpiChecksum())
	if err != nil {
		return "", "", err
	}
	next, err := clusterdb.Cpi(ctx, w.deps.Cluster, op.Work.Checksum)
	if err != nil {
		return "", "", err
	}
	var kept []ledgerstore.Kept
	err = w.within(ctx, w.cfg.Limits.Whole, dml, func(ctx context.Context, p *postgres.Pool) (err error) {
		return p.InTx(ctx, postgres.TxOptions{ReadOnly: true, StatementTimeout: w.cfg.Limits.Statement}, func(ctx context.Context, tx *postgres.Tx) (err error) {
			kept, err = ledgerstore.ReadKept(ctx, tx)
			return err
		})
	})
	if postgres.ClassOf(err) == postgres.Timeout && ctx.Err() == nil {
		return fmt.Sprintf("the states of virtual node %s could not be counted within %s, so it is not known whether package %s %s can consume them",
			op.Work.ShortHash, w.cfg.Limits.Statement, next.GetName(), next.GetVersion()), "try again", nil
	}
	if err != nil {
		return "", "", err
	}
	lost := ledgerstore.Lost(kept, ledgerstore.Installed(now), ledgerstore.Installed(next))
	if len(lost) == 0 {
		return "", "", nil
	}
	return fmt.Sprintf("virtual node %s could not consume states that it keeps or gets with package %s %s: %s",
			op.Work.ShortHash, next.GetName(), next.GetVersion(), kinds(lost)),
		"take a version that takes them (fairlead app check --against tells, and fairlead app package inspect shows a file's compatible_from), which frees them later, too; " +
			"or end what is on its way first: with the virtual node active, fairlead ledger repair, which leaves alone what is younger than ten minutes", nil
}

// kinds joins what is lost for a message.
func kinds(lost []string) string {
	more := ""
	if n := len(lost) - maxLost; n > 0 {
		lost, more = lost[:maxLost], fmt.Sprintf("; and %d kinds more", n)
	}
	return strings.Join(lost, "; ") + more
}
