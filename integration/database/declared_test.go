package database_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/internal/vaultdb"
	"github.com/fairleadio/fairlead/processors/database"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
)

// asking is a package with a named query on its table.
func asking(version string, q *cpiv1.QueryDeclaration, more ...postgres.Migration) pack {
	p := feeding(version, more...)
	if q.GetName() == "" {
		q.Name = "rich"
	}
	p.Queries = []*cpiv1.QueryDeclaration{q}
	return p
}

// What is declared and not made by the migrations is told when the package is put on a virtual node, not by the first
// flow that needs it.
func TestDeclarationsMustFitTheMigrations(t *testing.T) {
	w, b := newWorld(t, pgtest.Database(t), pgtest.Database(t)), bring(t)
	w.start()
	least := []*cpiv1.ColumnDeclaration{{Name: "least", Type: "bigint"}}
	right := asking("1", &cpiv1.QueryDeclaration{Sql: "SELECT name,\n balance FROM account WHERE balance > :least", Parameters: least, OrderBy: []string{"name"}})
	first := w.installed(right)
	alice := w.create("O=Alice, L=London, C=GB", first)
	w.succeeds(alice)

	column := asking("2", &cpiv1.QueryDeclaration{Sql: "SELECT name,\n owner FROM account"})
	two := asking("3", &cpiv1.QueryDeclaration{Sql: "SELECT n FROM accounts"})
	two.Tables[0].Columns = append(two.Tables[0].Columns, &cpiv1.ColumnDeclaration{Name: "owner", Type: "text"})
	two.Tables[0].Feed = false
	writes := asking("4", &cpiv1.QueryDeclaration{Sql: "UPDATE account SET owner = 'x'", Writes: true})
	n := 0
	for _, c := range []struct {
		what string
		p    pack
		says []string
	}{
		{"a column", column, []string{`query "rich" (fairlead.yaml of cpk): column "owner" does not exist (line 2 of its SQL)`, "correct fairlead.yaml, or add a migration"}},
		{"two faults", two, []string{`table "account" (fairlead.yaml of cpk): column "owner" does not exist`, `query "rich" (fairlead.yaml of cpk): relation "accounts" does not exist`}},
		{"a change", writes, []string{`column "owner" of relation "account" does not exist`}},
		{"a type", asking("5", &cpiv1.QueryDeclaration{Sql: "SELECT name FROM account WHERE name > :least", Parameters: least}), []string{"operator does not exist: text > bigint"}},
		{"an order", asking("6", &cpiv1.QueryDeclaration{Sql: "SELECT name FROM account", OrderBy: []string{"id"}}), []string{"its result cannot be cut into pages by order_by (id): column q.id does not exist"}},
		{"a hidden change", asking("7", &cpiv1.QueryDeclaration{Sql: "WITH gone AS (DELETE FROM account RETURNING name) SELECT name FROM gone"}), []string{"its result cannot be cut into pages: WITH clause containing a data-modifying statement"}},
		{"a condition", asking("9", &cpiv1.QueryDeclaration{Sql: "visible_states.consumed IS NULL\n AND owner = 'x'", States: true}), []string{`query "rich" (fairlead.yaml of cpk): column "owner" does not exist (line 2 of its SQL)`}},
	} {
		n++
		hash := w.create("O=Failed "+string(rune('A'+n))+", L=London, C=GB", w.installed(c.p))
		w.fails(c.what, w.ended(hash), database.ErrDeclared, c.says...)
	}

	// An upgrade that does not fit leaves the package that is there.
	upgrade := func(p pack) string {
		w.must("vnode/"+alice, state(alice, maintenance), nil)
		var accepted dbv1.AcceptedOperation
		w.must("vnode/"+alice, &dbv1.Request{Operation: &dbv1.Request_UpgradeVirtualNode{UpgradeVirtualNode: &dbv1.UpgradeVirtualNode{ShortHash: alice, CpiChecksum: p.checksum(t)}}}, &accepted)
		return accepted.GetRequestId()
	}
	w.fails("an upgrade", w.ended(upgrade(column)), database.ErrDeclared, `column "owner" does not exist`)
	w.until("the end of the operation", func() bool { return w.node(alice).GetOperationInProgress() == "" })
	if got := w.node(alice).GetCpiChecksum(); got != first {
		t.Errorf("the virtual node has package %s, %s was there", got, first)
	}
	w.must("vnode/"+alice, state(alice, active), nil)
	fixed := asking("8", &cpiv1.QueryDeclaration{Sql: "SELECT name,\n owner FROM account"}, postgres.Migration{Name: "0003.sql", SQL: "ALTER TABLE account ADD owner text"})
	w.installed(fixed)
	w.succeeds(upgrade(fixed))
	if _, err := w.as(alice, clusterdb.DML).Exec(t.Context(), "SELECT owner FROM account"); err != nil {
		t.Error(err)
	}

	// A package that is there keeps its virtual node from no other database or password, though a column of it is gone.
	w.must("vnode/"+alice, state(alice, maintenance), nil)
	moved := w.sealed(alice, b.connection(b.ddl, "alice"), b.connection(b.dml, "alice"))
	if s := w.changes(alice, moved); s.GetState() != operationv1.OperationState_OPERATION_STATE_SUCCEEDED {
		t.Fatalf("%v", s)
	}
	w.until("the new connections", func() bool {
		v := w.node(alice)
		return v.GetVaultDmlConnectionId() == b.dml && v.GetOperationInProgress() == ""
	})
	b.by(b.ddl, "ALTER TABLE alice.account DROP owner")
	if s := w.changes(alice, moved); s.GetState() != operationv1.OperationState_OPERATION_STATE_SUCCEEDED {
		t.Errorf("%v", s)
	}

	// The same where an administrator brings the database.
	bob, m := w.createWith("O=Bob, L=Paris, C=FR", column.checksum(t), b.connection(b.ddl, "bob"), b.connection(b.dml, "bob"))
	w.must("vnode/"+bob, m, nil)
	w.fails("a brought database", w.ended(bob), database.ErrDeclared, `column "owner" does not exist`)
	w.nothing("a brought database", bob)
}

// An author's check finds the same on any Postgres, and leaves nothing there.
func TestTryOut(t *testing.T) {
	pool := pgtest.Open(t, postgres.Config{URL: pgtest.Database(t)})
	try := func(p pack) ([]vaultdb.Misfit, error) {
		t.Helper()
		declared, err := rows.Compile(p.Tables, p.Queries)
		if err != nil {
			t.Fatal(err)
		}
		return vaultdb.TryOut(t.Context(), pool, []clusterdb.Migrations{{Cpk: "cpk", List: p.Migrations["cpk"]}}, declared, vaultdb.DefaultLimits())
	}
	if misfits, err := try(asking("1", &cpiv1.QueryDeclaration{Sql: "SELECT name FROM account", OrderBy: []string{"name"}})); err != nil || len(misfits) != 0 {
		t.Errorf("%v, %v", misfits, err)
	}
	states := asking("1", &cpiv1.QueryDeclaration{Sql: "visible_states.payload ->> 'owner' = :owner", Parameters: []*cpiv1.ColumnDeclaration{{Name: "owner", Type: "text"}}, States: true})
	if misfits, err := try(states); err != nil || len(misfits) != 0 {
		t.Errorf("%v, %v", misfits, err)
	}
	states.Queries[0].Sql = "token_amount > :owner"
	if misfits, err := try(states); err != nil || len(misfits) != 1 || misfits[0] != (vaultdb.Misfit{What: `query "rich"`, Reason: "operator does not exist: numeric > text; No operator matches the given name and argument types. You might need to add explicit type casts"}) {
		t.Errorf("%q, %v", misfits, err)
	}
	wrong := asking("1", &cpiv1.QueryDeclaration{Sql: "SELECT owner FROM account"})
	wrong.Queries = append(wrong.Queries, &cpiv1.QueryDeclaration{Name: "poor", Sql: "SELECT nam FROM account"})
	misfits, err := try(wrong)
	if err != nil || len(misfits) != 2 || misfits[0].What != `query "poor"` || !strings.Contains(misfits[0].Reason, `column "nam" does not exist; Perhaps you meant`) || misfits[1].What != `query "rich"` {
		t.Errorf("%+v, %v", misfits, err)
	}
	var failed *postgres.MigrationError
	if _, err := try(feeding("1", postgres.Migration{Name: "0003.sql", SQL: "ALTER TABLE accounts ADD n int"})); !errors.As(err, &failed) || failed.Name != "0003.sql" {
		t.Errorf("%v", err)
	}
	var refused *vaultdb.StatementError
	if _, err := try(feeding("1", postgres.Migration{Name: "0003.sql", SQL: "COMMIT"})); !errors.As(err, &refused) {
		t.Errorf("%v", err)
	}
	var left int
	if err := pool.One(t.Context(), []any{&left}, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tried_out_%'"); err != nil || left != 0 {
		t.Errorf("%d schemas are left, %v", left, err)
	}
}
