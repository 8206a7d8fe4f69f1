package database_test

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/internal/vaultdb"
	"github.com/fairleadio/fairlead/processors/database"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/topics"
)

// brought is a database that an administrator brings, with a role that may make schemas there and one that may nothing.
type brought struct {
	t        *testing.T
	url      string // as its administrator
	ddl, dml string
	password map[string]string
}

func bring(t *testing.T) *brought {
	t.Helper()
	tag := strings.ToLower(rand.Text())
	b := &brought{t: t, ddl: "ddl_" + tag, dml: "dml_" + tag, password: map[string]string{}}
	server := pgtest.URL(t)
	t.Cleanup(func() { // after the database, whose objects they own
		pgtest.Script(t, server, "", "", "DROP ROLE "+b.ddl+"; DROP ROLE "+b.dml)
	})
	b.url = pgtest.Database(t)
	for _, role := range []string{b.ddl, b.dml} {
		b.password[role] = "canary-" + rand.Text()
		b.run("CREATE ROLE " + role + " LOGIN PASSWORD " + postgres.Literal(b.password[role]))
	}
	b.run("DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO " + b.ddl + "', current_database()); END $$")
	return b
}

// run runs statements as the administrator.
func (b *brought) run(sql string) {
	b.t.Helper()
	pgtest.Script(b.t, b.url, "", "", sql)
}

// by runs statements as the role that owns what it makes.
func (b *brought) by(role, sql string) {
	b.t.Helper()
	pgtest.Script(b.t, b.url, role, b.password[role], sql)
}

// connection is Corda's JSON for a role of the database.
func (b *brought) connection(role, schema string) string {
	return b.at(role, b.password[role], schema, "", "")
}

func (b *brought) at(role, password, schema, host, name string) string {
	b.t.Helper()
	u, err := url.Parse(b.url)
	if err != nil {
		b.t.Fatal(err)
	}
	if host == "" {
		host = u.Host
	}
	if name == "" {
		name = strings.Trim(u.Path, "/")
	}
	return fmt.Sprintf(`{"database":{"jdbc":{"url":"jdbc:postgresql://%s/%s?currentSchema=%s&sslmode=disable"},"user":"%s","pass":"%s"}}`, host, name, schema, role, password)
}

func (w *world) sealed(hash, ddl, dml string) []byte {
	w.t.Helper()
	b, err := vaultdb.SealConnections(w.key, "vnode/"+hash, &dbv1.Connections{VaultDdl: ddl, VaultDml: dml})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) createWith(name, checksum, ddl, dml string) (hash string, m *dbv1.Request) {
	hash = w.hash(name)
	m = createNode(name, checksum)
	m.GetCreateVirtualNode().SealedConnections = w.sealed(hash, ddl, dml)
	return hash, m
}

func (w *world) changeDB(hash string, sealed []byte) *dbv1.Request {
	return &dbv1.Request{Operation: &dbv1.Request_UpdateVirtualNodeDb{UpdateVirtualNodeDb: &dbv1.UpdateVirtualNodeDb{ShortHash: hash, SealedConnections: sealed}}}
}

// changes asks for a change of connections and returns how it ended.
func (w *world) changes(hash string, sealed []byte) *operationv1.OperationStatus {
	w.t.Helper()
	var accepted dbv1.AcceptedOperation
	w.must("vnode/"+hash, w.changeDB(hash, sealed), &accepted)
	return w.ended(accepted.GetRequestId())
}

// fails looks at the end of an operation that must have failed.
func (w *world) fails(what string, s *operationv1.OperationStatus, id string, says ...string) {
	w.t.Helper()
	if s.GetState() != operationv1.OperationState_OPERATION_STATE_FAILED || s.GetErrorId() != id {
		w.t.Errorf("%s: %s at %q, %s: %s, want %s", what, s.GetState(), s.GetStage(), s.GetErrorId(), s.GetError(), id)
	}
	for _, part := range says {
		if !strings.Contains(s.GetError(), part) {
			w.t.Errorf("%s: %q does not say %q", what, s.GetError(), part)
		}
	}
}

// nothing tells what there is of a virtual node that must not be.
func (w *world) nothing(what, hash string) {
	w.t.Helper()
	cluster, vnodes := w.pool(w.clusterURL), w.pool(w.vnodeURL)
	var connections, nodes, schemas int
	err := cluster.One(w.t.Context(), []any{&connections, &nodes},
		"SELECT (SELECT count(*) FROM vnode_connection WHERE short_hash = $1), (SELECT count(*) FROM virtual_node WHERE short_hash = $1)", hash)
	if err == nil {
		err = vnodes.One(w.t.Context(), []any{&schemas}, "SELECT count(*) FROM pg_namespace WHERE nspname = $1", vaultdb.NamesOf(hash, "").Schema)
	}
	if err != nil || connections+nodes+schemas > 0 {
		w.t.Errorf("%s: %d connections, %d virtual nodes and %d schemas are there, %v", what, connections, nodes, schemas, err)
	}
	if _, there := w.views[topics.VirtualNodeInfo].Get(hash); there {
		w.t.Errorf("%s: the virtual node was published", what)
	}
}

func feeding(version string, more ...postgres.Migration) pack {
	p := bank(version, more...)
	p.Tables = []*cpiv1.TableDeclaration{{
		Name: "account", PrimaryKey: []string{"name"}, Feed: true,
		Columns: []*cpiv1.ColumnDeclaration{{Name: "name", Type: "text"}, {Name: "balance", Type: "bigint"}},
	}}
	return p
}

// works changes a row as the data role, and looks whether the change was captured.
func (b *brought) works(schema string) {
	b.t.Helper()
	p := pgtest.Open(b.t, postgres.Config{URL: b.url, User: b.dml, Password: b.password[b.dml], SearchPath: schema})
	if _, err := p.Exec(b.t.Context(), "UPDATE account SET balance = balance + two()"); err != nil {
		b.t.Fatal(err)
	}
	var captured int
	if err := p.One(b.t.Context(), []any{&captured}, "SELECT count(*) FROM fl_outbox"); err != nil || captured == 0 {
		b.t.Errorf("%d changes captured, %v", captured, err)
	}
}

// The cluster migrates a database that is brought with both roles, and upgrades it.
func TestBroughtDatabaseIsMigrated(t *testing.T) {
	w, b := newWorld(t, pgtest.Database(t), pgtest.Database(t)), bring(t)
	w.start()
	first, second := w.installed(feeding("1")), w.installed(feeding("2", postgres.Migration{Name: "0003.sql", SQL: "ALTER TABLE account ADD note text"}))
	hash, m := w.createWith("O=Alice, L=London, C=GB", first, b.connection(b.ddl, "alice"), b.connection(b.dml, "alice"))
	w.must("vnode/"+hash, m, nil)
	w.succeeds(hash)
	if v := w.node(hash); v.GetVaultDdlConnectionId() != b.ddl || v.GetVaultDmlConnectionId() != b.dml {
		t.Errorf("virtual node %v", v)
	}
	b.works("alice")
	var own int
	if err := w.pool(w.vnodeURL).One(t.Context(), []any{&own}, "SELECT count(*) FROM pg_namespace WHERE nspname = $1", vaultdb.NamesOf(hash, "").Schema); err != nil || own != 0 {
		t.Errorf("the cluster made %d schemas too, %v", own, err)
	}
	w.must("vnode/"+hash, state(hash, maintenance), nil)
	var accepted dbv1.AcceptedOperation
	w.must("vnode/"+hash, &dbv1.Request{Operation: &dbv1.Request_UpgradeVirtualNode{UpgradeVirtualNode: &dbv1.UpgradeVirtualNode{ShortHash: hash, CpiChecksum: second}}}, &accepted)
	w.succeeds(accepted.GetRequestId())
	w.must("vnode/"+hash, state(hash, active), nil)
	b.by(b.dml, "UPDATE alice.account SET note = 'x'")
	resync := &dbv1.Request{Operation: &dbv1.Request_ResyncVault{ResyncVault: &dbv1.ResyncVault{ShortHash: hash}}}
	w.refused("vnode/"+hash, resync, rpcv1.ErrorKind_ERROR_KIND_INVALID, database.ErrState)

	// A schema is one virtual node's.
	bob, m := w.createWith("O=Bob, L=Paris, C=FR", first, b.connection(b.ddl, "alice"), b.connection(b.dml, "alice"))
	w.must("vnode/"+bob, m, nil)
	w.fails("another's schema", w.ended(bob), database.ErrConnections, "is that of virtual node "+hash)
	w.nothing("another's schema", bob)
	w.canaries(t, b.password[b.ddl], b.password[b.dml])
}

// Where the cluster has no DDL connection, an administrator runs the SQL that it serves.
func TestBroughtDatabaseIsMigratedByHand(t *testing.T) {
	w, b := newWorld(t, pgtest.Database(t), pgtest.Database(t)), bring(t)
	w.start()
	first, second := w.installed(feeding("1")), w.installed(feeding("2", postgres.Migration{Name: "0003.sql", SQL: "ALTER TABLE account ADD note text -- the last"}))
	sql := func(checksum, hash string) string {
		var r dbv1.SchemaSqlResult
		w.must("vnode/x", &dbv1.Request{Operation: &dbv1.Request_SchemaSql{SchemaSql: &dbv1.SchemaSql{Database: "vault", CpiChecksum: checksum, ShortHash: hash}}}, &r)
		return r.GetSql()
	}
	attempt := 0
	create := func() (string, *operationv1.OperationStatus) {
		attempt++
		hash, m := w.createWith("O=Alice, L=London, C=GB", first, "", b.connection(b.dml, "vault"))
		before := uint64(0)
		if o, there := w.views[topics.OperationStatus].Get(hash); there {
			before = clusterdb.VersionOf(o)
		}
		w.must("vnode/"+hash, m, nil)
		w.until(fmt.Sprintf("attempt %d", attempt), func() bool {
			o, _ := w.views[topics.OperationStatus].Get(hash)
			return clusterdb.VersionOf(o) > before
		})
		return hash, w.ended(hash)
	}
	hash, s := create()
	w.fails("no schema", s, database.ErrSchema, "create/db/vault/"+first)
	w.nothing("no schema", hash)
	whole := sql(first, "")
	b.by(b.ddl, whole)
	_, s = create()
	w.fails("no grants", s, database.ErrConnections, b.dml, "vault")
	w.nothing("no grants", hash)
	grants := strings.Split(whole[strings.Index(whole, "-- GRANT"):], "\n")
	for i, line := range grants {
		grants[i] = strings.ReplaceAll(strings.TrimPrefix(line, "-- "), "TO data", "TO "+b.dml)
	}
	b.by(b.ddl, strings.Join(grants, "\n"))
	b.by(b.ddl, "REVOKE INSERT ON vault.fl_outbox FROM "+b.dml+"; REVOKE DELETE, UPDATE ON vault.account FROM "+b.dml)
	_, s = create()
	w.fails("a grant too few", s, database.ErrSchema, "INSERT on table fl_outbox; UPDATE, DELETE on table account")
	w.nothing("a grant too few", hash)
	b.by(b.ddl, strings.Join(grants, "\n"))
	b.by(b.ddl, "DELETE FROM vault.fairlead_application_migration WHERE set_name = 'fairlead: change feed'")
	_, s = create()
	w.fails("no triggers", s, database.ErrSchema, "the triggers of the change feed")
	b.by(b.ddl, "SET search_path TO vault;"+whole[strings.Index(whole, "-- What the change feed captures"):])
	if _, s = create(); s.GetState() != operationv1.OperationState_OPERATION_STATE_SUCCEEDED {
		t.Fatalf("%v", s)
	}
	if v := w.node(hash); v.GetVaultDdlConnectionId() != "" || v.GetVaultDmlConnectionId() != b.dml {
		t.Errorf("virtual node %v", v)
	}
	b.works("vault")

	// An upgrade waits for the administrator too; its SQL is for the schema that the virtual node has.
	w.must("vnode/"+hash, state(hash, maintenance), nil)
	upgrade := func() *operationv1.OperationStatus {
		var accepted dbv1.AcceptedOperation
		w.must("vnode/"+hash, &dbv1.Request{Operation: &dbv1.Request_UpgradeVirtualNode{UpgradeVirtualNode: &dbv1.UpgradeVirtualNode{ShortHash: hash, CpiChecksum: second}}}, &accepted)
		w.until("the operation's start", func() bool { return w.node(hash).GetOperationInProgress() == "" })
		return w.ended(accepted.GetRequestId())
	}
	w.fails("an upgrade", upgrade(), database.ErrSchema, "0003.sql", hash+"/db/vault/"+second)
	difference := sql(second, hash)
	if strings.Contains(difference, "0001.sql") || !strings.Contains(difference, `SET search_path TO "vault"`) {
		t.Errorf("the difference is\n%s", difference)
	}
	b.by(b.ddl, difference)
	if s := upgrade(); s.GetState() != operationv1.OperationState_OPERATION_STATE_SUCCEEDED {
		t.Errorf("%v", s)
	}
	w.must("vnode/"+hash, state(hash, active), nil)
	w.canaries(t, b.password[b.ddl], b.password[b.dml])
}

// What cannot be used is told, and nothing is left of it.
func TestBroughtDatabaseThatCannotBeUsed(t *testing.T) {
	w, b := newWorld(t, pgtest.Database(t), pgtest.Database(t)), bring(t)
	w.start()
	checksum := w.installed(bank("1"))
	broken := w.installed(bank("2", postgres.Migration{Name: "0003.sql", SQL: "CREATE TABLE account (n int)"}))
	b.run("CREATE SCHEMA bare; GRANT USAGE, CREATE ON SCHEMA bare TO " + b.dml)
	ddl, dml := b.connection(b.ddl, "s"), b.connection(b.dml, "s")
	const wrong = "canary-wrong-password"
	for what, c := range map[string]struct{ ddl, dml, says string }{
		"no JSON":            {"", "postgres", "DML connection"},
		"DDL alone":          {ddl, "", "DML connection is not"},
		"two schemas":        {b.connection(b.ddl, "t"), dml, "currentSchema"},
		"Corda's ciphertext": {"", `{"database":{"jdbc":{"url":"jdbc:postgresql://h:1/d"},"user":"u","pass":{"configSecret":{"encryptedSecret":"canary"}}}}`, "database.pass"},
	} {
		hash, m := w.createWith("O=Refused, L=London, C=GB", checksum, c.ddl, c.dml)
		e := w.refused("vnode/"+hash, m, rpcv1.ErrorKind_ERROR_KIND_INVALID, database.ErrConnections)
		if !strings.Contains(e.GetMessage(), c.says) {
			t.Errorf("%s: %q does not say %q", what, e.GetMessage(), c.says)
		}
		w.nothing(what, hash)
	}
	hash := w.hash("O=Refused, L=London, C=GB")
	elsewhere := createNode("O=Refused, L=London, C=GB", checksum)
	elsewhere.GetCreateVirtualNode().SealedConnections = w.sealed(w.hash("O=Other, L=London, C=GB"), ddl, dml)
	w.refused("vnode/"+hash, elsewhere, rpcv1.ErrorKind_ERROR_KIND_INVALID, database.ErrConnections)

	n := 0
	for what, c := range map[string]struct{ checksum, ddl, dml, id, says string }{
		"nobody listens":      {checksum, ddl, b.at(b.dml, wrong, "s", "127.0.0.1:1", ""), database.ErrConnections, "cannot be reached"},
		"no such host":        {checksum, ddl, b.at(b.dml, wrong, "s", "no-such-host.invalid:5432", ""), database.ErrConnections, "cannot be reached"},
		"no such database":    {checksum, ddl, b.at(b.dml, b.password[b.dml], "s", "", "nowhere"), database.ErrConnections, "nowhere"},
		"wrong password":      {checksum, b.at(b.ddl, wrong, "s", "", ""), dml, database.ErrConnections, "DDL connection does not work"},
		"wrong DML password":  {checksum, ddl, b.at(b.dml, wrong, "s", "", ""), database.ErrConnections, "DML connection does not work"},
		"no right to create":  {checksum, b.connection(b.dml, "s"), dml, database.ErrConnections, "may not do what it must"},
		"no such role":        {checksum, ddl, b.at("nobody_"+b.dml, "x", "s", "", ""), database.ErrConnections, "DML connection does not work"},
		"an empty schema":     {checksum, "", b.connection(b.dml, "bare"), database.ErrSchema, "lacks the platform's migrations"},
		"a migration's fault": {broken, b.connection(b.ddl, "broken"), b.connection(b.dml, "broken"), database.ErrMigration, "0003.sql"},
	} {
		n++
		hash, m := w.createWith(fmt.Sprintf("O=Failed %d, L=London, C=GB", n), c.checksum, c.ddl, c.dml)
		began := time.Now()
		w.must("vnode/"+hash, m, nil)
		w.fails(what, w.ended(hash), c.id, c.says)
		w.nothing(what, hash)
		t.Logf("%s: told after %v", what, time.Since(began).Round(time.Millisecond))
	}

	// What failed stands in nobody's way.
	alice, m := w.createWith("O=Failed 1, L=London, C=GB", checksum, ddl, dml)
	before, _ := w.views[topics.OperationStatus].Get(alice)
	w.must("vnode/"+alice, m, nil)
	w.until("another attempt", func() bool {
		o, _ := w.views[topics.OperationStatus].Get(alice)
		return clusterdb.VersionOf(o) > clusterdb.VersionOf(before)
	})
	w.succeeds(alice)
	w.canaries(t, b.password[b.ddl], b.password[b.dml], wrong)
}

// A virtual node gets another database; until all is there it keeps the one that it has.
func TestChangeOfDatabase(t *testing.T) {
	w, b := newWorld(t, pgtest.Database(t), pgtest.Database(t)), bring(t)
	w.start()
	hash := w.create("O=Alice, L=London, C=GB", w.installed(feeding("1")))
	w.succeeds(hash)
	own := w.node(hash)
	ddl, dml := b.connection(b.ddl, "alice"), b.connection(b.dml, "alice")
	w.refused("vnode/"+hash, w.changeDB(hash, w.sealed(hash, ddl, dml)), rpcv1.ErrorKind_ERROR_KIND_INVALID, database.ErrState)
	w.must("vnode/"+hash, state(hash, maintenance), nil)
	for what, c := range map[string]struct {
		sealed   []byte
		id, says string
	}{
		"not migrated":   {w.sealed(hash, "", dml), database.ErrSchema, "lacks the platform's migrations"},
		"wrong password": {w.sealed(hash, ddl, b.at(b.dml, "canary-wrong-password", "alice", "", "")), database.ErrConnections, "DML connection does not work"},
		"nobody listens": {w.sealed(hash, "", b.at(b.dml, "x", "alice", "127.0.0.1:1", "")), database.ErrConnections, "cannot be reached"},
	} {
		w.fails(what, w.changes(hash, c.sealed), c.id, c.says)
		w.until("the end of the operation", func() bool { return w.node(hash).GetOperationInProgress() == "" })
		if v := w.node(hash); v.GetVaultDmlConnectionId() != own.GetVaultDmlConnectionId() || v.GetVaultDdlConnectionId() != own.GetVaultDdlConnectionId() {
			t.Errorf("%s: %v", what, v)
		}
		if err := w.as(hash, clusterdb.DML).Ping(t.Context()); err != nil {
			t.Errorf("%s: with the connection that it has: %v", what, err)
		}
	}
	if s := w.changes(hash, w.sealed(hash, ddl, dml)); s.GetState() != operationv1.OperationState_OPERATION_STATE_SUCCEEDED {
		t.Fatalf("%v", s)
	}
	w.until("the new connections", func() bool {
		v := w.node(hash)
		return v.GetVaultDmlConnectionId() == b.dml && v.GetVaultDdlConnectionId() == b.ddl && v.GetOperationInProgress() == ""
	})
	w.must("vnode/"+hash, state(hash, active), nil)
	b.works("alice")

	// Another password for the same place needs no maintenance; none at all is no change.
	old := b.password[b.dml]
	b.password[b.dml] = "canary-" + rand.Text()
	b.run("ALTER ROLE " + b.dml + " PASSWORD " + postgres.Literal(b.password[b.dml]))
	if s := w.changes(hash, w.sealed(hash, "", b.connection(b.dml, "alice"))); s.GetState() != operationv1.OperationState_OPERATION_STATE_SUCCEEDED {
		t.Fatalf("%v", s)
	}
	w.until("the new password", func() bool {
		v := w.node(hash)
		return v.GetVaultDdlConnectionId() == "" && v.GetOperationInProgress() == ""
	})
	w.refused("vnode/"+hash, w.changeDB(hash, nil), rpcv1.ErrorKind_ERROR_KIND_INVALID, database.ErrConnections)
	w.canaries(t, old, b.password[b.ddl], "canary-wrong-password")
}
