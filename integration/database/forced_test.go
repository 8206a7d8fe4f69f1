package database_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

func upgradeTo(hash, checksum string, force bool) *dbv1.Request {
	return &dbv1.Request{Operation: &dbv1.Request_UpgradeVirtualNode{UpgradeVirtualNode: &dbv1.UpgradeVirtualNode{ShortHash: hash, CpiChecksum: checksum, Force: force}}}
}

// An upgrade that is forced while another's migration runs waits for that migration, and nothing of the other runs afterwards.
func TestForcedInPlaceOfAMigration(t *testing.T) {
	w := newWorld(t, pgtest.Database(t), pgtest.Database(t))
	w.start()
	waits := postgres.Migration{Name: "0003.sql", SQL: "ALTER TABLE account ADD waited bigint"}
	hash := w.create("O=Alice, L=London, C=GB", w.installed(bank("1")))
	w.succeeds(hash)
	second := w.installed(bank("2", waits, postgres.Migration{Name: "0004.sql", SQL: "ALTER TABLE account ADD late bigint"}))
	third := w.installed(bank("3", waits, postgres.Migration{Name: "0005.sql", SQL: "ALTER TABLE account ADD note text"}))
	w.must("vnode/"+hash, state(hash, maintenance), &vnodev1.VirtualNode{})

	reader, err := w.as(hash, clusterdb.DML).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Release()
	run := func(statement string) {
		t.Helper()
		if _, err := reader.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	run("BEGIN")
	run("SELECT name FROM account") // no migration of the table gets past it
	var first, forced dbv1.AcceptedOperation
	w.must("vnode/"+hash, upgradeTo(hash, second, false), &first)
	admin := w.pool(w.vnodeURL)
	w.until("the migration that waits", func() bool {
		n := 0
		if err := admin.One(t.Context(), []any{&n}, "SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"); err != nil {
			t.Fatal(err)
		}
		return n == 1
	})
	w.must("vnode/"+hash, upgradeTo(hash, third, true), &forced)
	w.until("the forced operation", func() bool {
		_, there := w.views[topics.OperationStatus].Get(forced.GetRequestId())
		return there
	})
	// Other virtual nodes do not wait for the turn.
	w.succeeds(w.create("O=Bob, L=London, C=GB", third))
	if s, _ := w.views[topics.OperationStatus].Get(forced.GetRequestId()); s.(*operationv1.OperationStatus).GetState() != operationv1.OperationState_OPERATION_STATE_ACCEPTED {
		t.Errorf("the forced operation did not wait: %v", s)
	}
	w.until("the log of the wait", func() bool {
		line := regexp.MustCompile(`waits for the turn of another.* operation=` + regexp.QuoteMeta(forced.GetRequestId()) + ` .*held_by="process [0-9]+ of the server, fairlead`)
		return line.MatchString(w.log.String())
	})
	run("ROLLBACK")
	s := w.succeeds(forced.GetRequestId())
	if got := s.GetOverridden(); len(got) != 1 || !strings.Contains(got[0], first.GetRequestId()) {
		t.Errorf("the forced operation went past %q", got)
	}
	if s := w.ended(first.GetRequestId()); s.GetState() != operationv1.OperationState_OPERATION_STATE_ABORTED {
		t.Errorf("the operation in whose place it was forced: %v", s)
	}
	if got := w.columns(hash); !slices.Equal(got, []string{"balance", "name", "note", "waited"}) {
		t.Errorf("columns %q", got)
	}
}

// An operation in whose place another was forced between two of its steps ends without another step.
func TestForcedInPlaceBetweenSteps(t *testing.T) {
	w := newWorld(t, pgtest.Database(t), pgtest.Database(t))
	w.start()
	hash, second := w.beforeAnUpgrade()
	crashed := make(chan struct{})
	w.crashAt(func(point string) error {
		if point != "after platform" {
			return nil
		}
		select {
		case <-crashed:
		default:
			close(crashed)
		}
		return errors.New("a crash")
	})
	var accepted dbv1.AcceptedOperation
	w.must("vnode/"+hash, upgradeTo(hash, second, false), &accepted)
	<-crashed
	w.stop()
	w.crashAt(nil)
	db := w.pool(w.clusterURL)
	v, err := clusterdb.VirtualNode(t.Context(), db, hash)
	if err != nil {
		t.Fatal(err)
	}
	v.OperationInProgress = "another"
	v.Version++
	if err := clusterdb.PutVirtualNode(t.Context(), db, v); err != nil {
		t.Fatal(err)
	}
	w.start()
	if s := w.ended(accepted.GetRequestId()); s.GetState() != operationv1.OperationState_OPERATION_STATE_ABORTED {
		t.Errorf("the operation: %v", s)
	}
	if got := w.columns(hash); slices.Contains(got, "late") {
		t.Errorf("columns %q", got)
	}
}

// beforeAnUpgrade makes a virtual node, in maintenance, and the package of its next version, which adds column late.
func (w *world) beforeAnUpgrade() (hash, second string) {
	w.t.Helper()
	hash = w.create("O=Alice, L=London, C=GB", w.installed(bank("1")))
	w.succeeds(hash)
	second = w.installed(bank("2", postgres.Migration{Name: "0003.sql", SQL: "ALTER TABLE account ADD late bigint"}))
	w.must("vnode/"+hash, state(hash, maintenance), &vnodev1.VirtualNode{})
	return hash, second
}

// columns are those of table account of a virtual node.
func (w *world) columns(hash string) (out []string) {
	w.t.Helper()
	err := w.as(hash, clusterdb.DML).Each(w.t.Context(), func(r postgres.Row) error {
		var name string
		err := r.Scan(&name)
		out = append(out, name)
		return err
	}, "SELECT column_name::text FROM information_schema.columns WHERE table_name = 'account' ORDER BY 1")
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// The end of a step says nothing of an operation that was asked for again meanwhile: that takes the step itself.
func TestAskedAgainAtTheEndOfAStep(t *testing.T) {
	w := newWorld(t, pgtest.Database(t), pgtest.Database(t))
	w.start()
	hash, second := w.beforeAnUpgrade()
	db := w.pool(w.clusterURL)
	again, next := make(chan *clusterdb.Operation, 1), make(chan string, 10)
	w.crashAt(func(point string) error {
		if point != "step platform" {
			next <- point
			return nil
		}
		v, err := clusterdb.VirtualNode(t.Context(), db, hash)
		if err != nil {
			return err
		}
		op, err := clusterdb.GetOperation(t.Context(), db, v.GetOperationInProgress())
		if err != nil {
			return err
		}
		op.Status.Version++ // as begin makes it of a forced request; its record comes later
		op.Work.Force = true
		again <- op
		return clusterdb.PutOperation(t.Context(), db, op)
	})
	var accepted dbv1.AcceptedOperation
	w.must("vnode/"+hash, upgradeTo(hash, second, false), &accepted)
	op := <-again
	for range 2 { // of the request, and of the end of the step, if that counts
		select {
		case <-next:
		case <-time.After(2 * time.Second):
		}
	}
	now, err := clusterdb.GetOperation(t.Context(), db, accepted.GetRequestId())
	if err != nil {
		t.Fatal(err)
	}
	if now.Status.GetVersion() != op.Status.GetVersion() || now.Work.Step != "platform" {
		t.Errorf("the operation that was asked for again stands at step %s, version %d, want platform, version %d: it went on with another attempt's end", now.Work.Step, now.Status.GetVersion(), op.Status.GetVersion())
	}
}
