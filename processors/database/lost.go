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
// consume now: such as money.
func (w *Worker) loses(ctx context.Context, op *clusterdb.Operation, dml *vaultdb.Target) error {
	v, err := clusterdb.VirtualNode(ctx, w.deps.Cluster, op.Work.ShortHash)
	if err != nil || v == nil {
		return err
	}
	now, err := clusterdb.Cpi(ctx, w.deps.Cluster, v.GetCpiChecksum())
	if err != nil {
		return err
	}
	next, err := clusterdb.Cpi(ctx, w.deps.Cluster, op.Work.Checksum)
	if err != nil {
		return err
	}
	var kept []ledgerstore.Kept
	err = w.within(ctx, w.cfg.Limits.Whole, dml, func(ctx context.Context, p *postgres.Pool) (err error) {
		return p.InTx(ctx, postgres.TxOptions{ReadOnly: true, StatementTimeout: w.cfg.Limits.Statement}, func(ctx context.Context, tx *postgres.Tx) (err error) {
			kept, err = ledgerstore.ReadKept(ctx, tx)
			return err
		})
	})
	if postgres.ClassOf(err) == postgres.Timeout && ctx.Err() == nil {
		return invalid(ErrStates, "the states of virtual node %s could not be counted within %s, so it is not known whether package %s %s can consume them: try again, or force it (fairlead vnode upgrade --force, REST forceupgrade=true)",
			op.Work.ShortHash, w.cfg.Limits.Statement, next.GetName(), next.GetVersion())
	}
	if err != nil {
		return err
	}
	lost := ledgerstore.Lost(kept, ledgerstore.Installed(now), ledgerstore.Installed(next))
	if len(lost) == 0 {
		return nil
	}
	more := ""
	if n := len(lost) - maxLost; n > 0 {
		lost, more = lost[:maxLost], fmt.Sprintf("; and %d kinds more", n)
	}
	return invalid(ErrStates, "virtual node %s could not consume states that it keeps or gets with package %s %s: %s%s. Its package and its migrations are as before: take a version that takes them (fairlead app check --against tells); end what is on its way first (fairlead ledger repair); or force it (fairlead vnode upgrade --force, REST forceupgrade=true); a later version that takes them frees them then",
		op.Work.ShortHash, next.GetName(), next.GetVersion(), strings.Join(lost, "; "), more)
}
