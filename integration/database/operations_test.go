package database_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/internal/vaultdb"
	"github.com/fairleadio/fairlead/processors/database"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

const (
	active      = vnodev1.OperationalStatus_OPERATIONAL_STATUS_ACTIVE
	maintenance = vnodev1.OperationalStatus_OPERATIONAL_STATUS_INACTIVE
)

func state(hash string, s vnodev1.OperationalStatus) *dbv1.Request {
	return &dbv1.Request{Operation: &dbv1.Request_SetVirtualNodeState{SetVirtualNodeState: &dbv1.SetVirtualNodeState{ShortHash: hash, State: s}}}
}

func putConfig(section, config string, version uint64) *dbv1.Request {
	return &dbv1.Request{Operation: &dbv1.Request_PutConfig{PutConfig: &dbv1.PutConfig{Section: section, Config: config, Version: version, SchemaMajor: 1}}}
}

func (w *world) refused(key string, m *dbv1.Request, kind rpcv1.ErrorKind, id string) *rpcv1.Error {
	w.t.Helper()
	e := w.ask(key, m).GetError()
	if e.GetKind() != kind || e.GetId() != id {
		w.t.Errorf("%s: got %s %s %q, want %s %s", key, e.GetKind(), e.GetId(), e.GetMessage(), kind, id)
	}
	return e
}

// What administrators do, one after the other; then every request once more.
func TestEveryOperation(t *testing.T) {
	w := newWorld(t, pgtest.Database(t), pgtest.Database(t))
	w.start()
	const invalid, conflict, missing = rpcv1.ErrorKind_ERROR_KIND_INVALID, rpcv1.ErrorKind_ERROR_KIND_CONFLICT, rpcv1.ErrorKind_ERROR_KIND_NOT_FOUND

	// The reconciler tells of the default roles and the first administrator.
	w.until("the administrator", func() bool { _, ok := w.views[topics.RBACUser].Get("admin"); return ok })

	// Configuration.
	w.must("config/corda.flow", putConfig("corda.flow", `{"processing":{"poolSize":3}}`, 0), &dbv1.PutConfigResult{})
	e := w.refused("config/corda.flow", putConfig("corda.flow", `{}`, 0), conflict, database.ErrVersion)
	if got := fmt.Sprint(e.GetDetails()); !strings.Contains(got, "poolSize") || !strings.Contains(got, `"1"`) {
		t.Errorf("details %s", got)
	}
	w.refused("config/corda.flow", putConfig("corda.flow", `{"x":1}`, 1), invalid, "FL-CONFIG-003")
	w.refused("config/corda.rbac", putConfig("corda.flow", `{}`, 1), invalid, database.ErrKey)

	// Users, roles, permissions.
	user := &dbv1.Request{Operation: &dbv1.Request_CreateUser{CreateUser: &dbv1.CreateUser{LoginName: "Alice", FullName: "Alice A", Enabled: true}}}
	w.must("user/alice", user, &rbacv1.User{})
	w.refused("user/alice", proto.Clone(user).(*dbv1.Request), conflict, database.ErrExists)
	var role rbacv1.Role
	w.must("role/auditor", &dbv1.Request{Operation: &dbv1.Request_CreateRole{CreateRole: &dbv1.CreateRole{Name: "auditor"}}}, &role)
	permission := &dbv1.CreatePermission{Effect: rbacv1.PermissionEffect_PERMISSION_EFFECT_ALLOW, Pattern: "GET:.*"}
	var single rbacv1.Permission
	w.must("permission/one", &dbv1.Request{Operation: &dbv1.Request_CreatePermission{CreatePermission: permission}}, &single)
	var many dbv1.CreatedPermissions
	w.must("permission/bulk", &dbv1.Request{Operation: &dbv1.Request_CreatePermissions{CreatePermissions: &dbv1.CreatePermissions{
		Permissions: []*dbv1.CreatePermission{permission, permission}, RoleIds: []string{role.GetId()},
	}}}, &many)
	w.must("role/"+role.GetId(), &dbv1.Request{Operation: &dbv1.Request_AddRolePermission{AddRolePermission: &dbv1.RolePermission{RoleId: role.GetId(), PermissionId: single.GetId()}}}, &role)
	if len(role.GetPermissionIds()) != 3 || role.GetVersion() != 3 {
		t.Errorf("role %v", &role)
	}
	give := &dbv1.UserRole{LoginName: "alice", RoleId: role.GetId()}
	var alice rbacv1.User
	w.must("user/alice", &dbv1.Request{Operation: &dbv1.Request_AddUserRole{AddUserRole: give}}, &alice)
	w.refused("user/alice", &dbv1.Request{Operation: &dbv1.Request_AddUserRole{AddUserRole: give}}, conflict, database.ErrAssociation)
	w.must("user/alice", &dbv1.Request{Operation: &dbv1.Request_RemoveUserRole{RemoveUserRole: give}}, &alice)
	w.refused("user/alice", &dbv1.Request{Operation: &dbv1.Request_RemoveUserRole{RemoveUserRole: give}}, missing, database.ErrAssociation)
	w.refused("user/nobody", &dbv1.Request{Operation: &dbv1.Request_ChangePassword{ChangePassword: &dbv1.ChangePassword{LoginName: "nobody"}}}, missing, database.ErrNotFound)
	w.refused("permission/x", &dbv1.Request{Operation: &dbv1.Request_CreatePermission{CreatePermission: &dbv1.CreatePermission{
		Effect: rbacv1.PermissionEffect_PERMISSION_EFFECT_DENY, Pattern: "(?=x)",
	}}}, invalid, database.ErrPattern)

	// Packages.
	first := bank("1")
	checksum := w.installed(first)
	if checksum != first.checksum(t) {
		t.Errorf("checksum %s, want %s", checksum, first.checksum(t))
	}
	w.upload("again", first.file(t), false)
	if s := w.ended("again"); s.GetErrorId() != database.ErrDuplicate || s.GetErrorKind() != uint32(conflict) {
		t.Errorf("a package twice: %v", s)
	}
	w.upload("refused", pack{Refuse: "it smells"}.file(t), false)
	if s := w.ended("refused"); s.GetState() != operationv1.OperationState_OPERATION_STATE_FAILED || !strings.Contains(s.GetError(), "it smells") {
		t.Errorf("a refused package: %v", s)
	}
	broken := bank("9", postgres.Migration{Name: "0003.sql", SQL: "COMMIT; DROP TABLE account"})
	w.upload("escape", broken.file(t), false)
	if s := w.ended("escape"); s.GetErrorId() != database.ErrStatement {
		t.Errorf("a migration that commits: %v", s)
	}
	w.until("all parts of the module", func() bool { return w.views[topics.CpiChunks].Len() == 3 })

	// Virtual nodes.
	hash := w.create("O=Alice, L=London, C=GB", checksum)
	w.succeeds(hash)
	v := w.node(hash)
	if v.GetVaultDb() != active || v.GetChannels()[0].GetTopic() != "ext."+hash+".payments.receive" || v.GetVaultDmlConnectionId() == "" {
		t.Errorf("virtual node %v", v)
	}
	w.refused("vnode/"+hash, createNode("O=Alice, L=London, C=GB", checksum), conflict, database.ErrExists)
	w.refused("vnode/"+hash, createNode("O=Alice, L=London, C=GB", "000000000000"), missing, database.ErrNotFound)
	second := w.installed(bank("2", postgres.Migration{Name: "0003.sql", SQL: "ALTER TABLE account ADD note text"}))
	upgrade := &dbv1.Request{Operation: &dbv1.Request_UpgradeVirtualNode{UpgradeVirtualNode: &dbv1.UpgradeVirtualNode{ShortHash: hash, CpiChecksum: second}}}
	w.refused("vnode/"+hash, upgrade, invalid, database.ErrState)
	w.must("vnode/"+hash, state(hash, maintenance), &vnodev1.VirtualNode{})
	var accepted dbv1.AcceptedOperation
	w.must("vnode/"+hash, upgrade, &accepted)
	if accepted.GetRequestId() != hash+checksum+second {
		t.Errorf("request id %s", accepted.GetRequestId())
	}
	w.succeeds(accepted.GetRequestId())
	w.must("vnode/"+hash, state(hash, active), &vnodev1.VirtualNode{})
	w.until("the upgrade", func() bool { return w.node(hash).GetCpiChecksum() == second && w.node(hash).GetVaultDb() == active })
	dml := w.as(hash, clusterdb.DML)
	if _, err := dml.Exec(t.Context(), "UPDATE account SET note = 'x', balance = balance + two()"); err != nil {
		t.Error(err)
	}
	// Resync drops the application's tables and makes them again; the answer comes when it is done.
	w.must("vnode/"+hash, &dbv1.Request{Operation: &dbv1.Request_ResyncVault{ResyncVault: &dbv1.ResyncVault{ShortHash: hash}}}, nil)
	var balance int
	if err := dml.One(t.Context(), []any{&balance}, "SELECT balance FROM account WHERE note IS NULL"); err != nil || balance != 100 {
		t.Errorf("after the resync: %d, %v", balance, err)
	}
	// New passwords.
	w.must("vnode/"+hash, &dbv1.Request{Operation: &dbv1.Request_UpdateVirtualNodeDb{UpdateVirtualNodeDb: &dbv1.UpdateVirtualNodeDb{ShortHash: hash}}}, &accepted)
	w.succeeds(accepted.GetRequestId())
	if err := w.as(hash, clusterdb.DML).Ping(t.Context()); err != nil {
		t.Errorf("with the new password: %v", err)
	}
	var sql dbv1.SchemaSqlResult
	w.must("vnode/x", &dbv1.Request{Operation: &dbv1.Request_SchemaSql{SchemaSql: &dbv1.SchemaSql{Database: "vault", CpiChecksum: second}}}, &sql)
	for _, want := range []string{"0001.sql", "0003.sql", "fairlead_about"} {
		if !strings.Contains(sql.GetSql(), want) {
			t.Errorf("the SQL for administrators lacks %s", want)
		}
	}

	// Forced upload: the virtual node has the new file at once.
	forced := bank("2", postgres.Migration{Name: "0003.sql", SQL: "ALTER TABLE account ADD note text DEFAULT 'forced'"})
	w.upload("forced", forced.file(t), true)
	w.succeeds("forced")
	w.until("the forced package", func() bool { return w.node(hash).GetCpiChecksum() == forced.checksum(t) })
	w.until("the replaced package's end", func() bool { _, there := w.views[topics.CpiInfo].Get(second); return !there })

	// Certificates.
	w.refused("certificate/p2p-tls/", &dbv1.Request{Operation: &dbv1.Request_ImportCertificate{ImportCertificate: &dbv1.ImportCertificate{Usage: "p2p-tls", Alias: "a", Chain: "x"}}}, invalid, database.ErrCertificate)
	w.refused("certificate/p2p-tls/", &dbv1.Request{Operation: &dbv1.Request_GetCertificate{GetCertificate: &dbv1.GetCertificate{Usage: "p2p-tls", Alias: "a"}}}, missing, database.ErrNotFound)
	var aliases dbv1.CertificateAliases
	w.must("certificate/p2p-tls/", &dbv1.Request{Operation: &dbv1.Request_ListCertificates{ListCertificates: &dbv1.ListCertificates{Usage: "p2p-tls"}}}, &aliases)

	w.repeatAll(t)
	w.canaries(t)
}

// repeatAll sends every request again: the same answers, and nothing changed.
func (w *world) repeatAll(t *testing.T) {
	cluster := w.pool(w.clusterURL)
	count := func() (n int) {
		if err := cluster.One(t.Context(), []any{&n}, "SELECT count(*) FROM audit"); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	repeated := 0
	records := w.kafka.Consume(t, topics.DbRequests, w.requests)
	for _, r := range records {
		id := ""
		for _, h := range r.Headers {
			if h.Key == "fl-request" {
				id = string(h.Value)
			}
		}
		if id == "" {
			continue
		}
		first, _, err := clusterdb.Request(t.Context(), cluster, id)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil || first.GetOutcome() == nil {
			continue // a question, or one that is answered at the end
		}
		m := &dbv1.Request{}
		if err := proto.Unmarshal(r.Value, m); err != nil {
			t.Fatal(err)
		}
		if again := w.call(id, string(r.Key), m); !proto.Equal(first, again) {
			t.Errorf("request %s again: %v, at first %v", id, again, first)
		}
		repeated++
	}
	if after := count(); after != before || repeated < 20 {
		t.Errorf("%d audit rows before %d repeated requests, %d after", before, repeated, after)
	}
}

// Every point of a virtual node's making is where the worker dies once; the next one goes on.
func TestCreationSurvivesCrashes(t *testing.T) {
	w := newWorld(t, pgtest.Database(t), pgtest.Database(t))
	w.start()
	checksum := w.installed(bank("1"))
	crashes := []string{}
	w.crashAt(func(point string) error {
		if !slices.Contains(crashes, point) && point != "request republish" {
			crashes = append(crashes, point)
			return fmt.Errorf("the test's crash at %s", point)
		}
		return nil
	})
	hash := w.hash("O=Bob, L=Paris, C=FR")
	m := createNode("O=Bob, L=Paris, C=FR", checksum)
	w.producerSend("crashing", "vnode/"+hash, m)
	for range 40 {
		select {
		case <-w.engine.Done():
			w.stop()
			w.start()
			continue
		case <-w.settled(hash):
		case <-enginetest.Context(t).Done():
			t.Fatalf("neither a crash nor an end; crashes so far: %v", crashes)
		}
		break
	}
	w.succeeds(hash)
	w.node(hash)
	want := []string{"request create_virtual_node", "step schema", "after schema", "step platform", "after platform", "step application", "after application", "step finish", "after finish"}
	if !slices.Equal(crashes, want) {
		t.Errorf("crashes at %v, want %v", crashes, want)
	}
	var n int
	if err := w.as(hash, clusterdb.DML).One(t.Context(), []any{&n}, "SELECT count(*) FROM account"); err != nil || n != 1 {
		t.Errorf("%d rows: migrations ran more or less than once: %v", n, err)
	}
	t.Logf("%d crashes: %s", len(crashes), strings.Join(crashes, ", "))
}

// A Postgres that goes away in the middle pauses the group; every request is answered when it is back.
func TestPostgresGoesAway(t *testing.T) {
	s := pgtest.Server(t, pgserver.Options{Durable: true}) // what was committed must survive the kill
	if err := s.Ensure(t.Context(), "cluster", "vnodes"); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, s.URL("cluster"), s.URL("vnodes"))
	w.start()
	checksum := w.installed(bank("1"))
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	var hashes []string
	for i := range 5 {
		name := fmt.Sprintf("O=Away %d, L=Oslo, C=NO", i)
		hashes = append(hashes, w.hash(name))
		w.producerSend(fmt.Sprintf("away-%d", i), "vnode/"+hashes[i], createNode(name, checksum))
	}
	w.until("the pause", func() bool { st := w.engine.Status(); return st.Paused != "" && !st.Ready() })
	w.producerSend("late", "config/corda.rbac", putConfig("corda.rbac", "{}", 0))
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, h := range hashes {
		w.succeeds(h)
	}
	w.until("the late change", func() bool { _, ok := w.views[topics.Config].Get("corda.rbac"); return ok })
	w.until("readiness", func() bool { return w.engine.Status().Ready() })
}

// The worker starts before Postgres does and is ready when it is.
func TestStartsBeforePostgres(t *testing.T) {
	s := pgtest.Server(t, pgserver.Options{})
	if err := s.Ensure(t.Context(), "cluster", "vnodes"); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, s.URL("cluster"), s.URL("vnodes"))
	w.launch()
	w.until("the pause", func() bool { return w.engine.Status().Paused != "" })
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.engine.WaitReady(enginetest.Context(t)); err != nil {
		t.Fatal(err)
	}
}

// A new Kafka beside an old database gets every fact from the reconciler.
func TestReconcilerTellsEverythingAgain(t *testing.T) {
	cluster, vnodes := pgtest.Database(t), pgtest.Database(t)
	w := newWorld(t, cluster, vnodes)
	w.start()
	p := bank("1")
	p.Signer, p.Contracts, p.Code = "SHA-256:"+codeSigner, []string{"Coin"}, codeFileOf(t, "1.0", 10)
	hash := w.create("O=Carol, L=Rome, C=IT", w.installed(p))
	w.succeeds(hash)
	w.must("config/corda.flow", putConfig("corda.flow", "{}", 0), nil)
	w.stop()
	again := newWorld(t, cluster, vnodes)
	again.start()
	for topic, want := range w.views {
		if topic == topics.OperationStatus {
			continue
		}
		again.until("all of "+topic, func() bool { return again.views[topic].Len() == want.Len() && want.Len() > 0 })
		for key, m := range want.All() {
			have, _ := again.views[topic].Get(key)
			if p, ok := have.(proto.Message); !ok || !proto.Equal(p, m.(proto.Message)) {
				t.Errorf("%s of %s differs", key, topic)
			}
		}
	}
}

// A hundred virtual nodes, made at once.
func TestHundredVirtualNodes(t *testing.T) {
	w := newWorld(t, pgtest.Database(t), pgtest.Database(t))
	w.start()
	checksum := w.installed(bank("1"))
	began := time.Now()
	var hashes []string
	for i := range 100 {
		name := fmt.Sprintf("O=Member %d, L=Bern, C=CH", i)
		hashes = append(hashes, w.hash(name))
		w.producerSend(fmt.Sprintf("hundred-%d", i), "vnode/"+hashes[i], createNode(name, checksum))
	}
	most := 0
	admin := w.pool(w.vnodeURL)
	for _, h := range hashes {
		w.succeeds(h)
		var n int
		if err := admin.One(t.Context(), []any{&n}, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"); err != nil {
			t.Fatal(err)
		}
		most = max(most, n)
	}
	t.Logf("100 virtual nodes in %v, at most %d connections to the server", time.Since(began).Round(time.Millisecond), most)
}

// What tenants' SQL must not do.
func TestTenantsStayInside(t *testing.T) {
	w := newWorld(t, pgtest.Database(t), pgtest.Database(t))
	w.start()
	checksum := w.installed(bank("1"))
	alice := w.create("O=Alice, L=London, C=GB", checksum)
	bob := w.create("O=Bob, L=Paris, C=FR", checksum)
	w.succeeds(alice)
	w.succeeds(bob)
	theirs := vaultdb.NamesOf(bob, "").Schema
	tries := []string{
		"SELECT * FROM " + theirs + ".account", "SELECT pg_advisory_lock(1)", "SELECT pg_sleep(1)", "SELECT set_config('statement_timeout', '0', false)",
		"SELECT pg_read_file('postgresql.conf')", "SELECT lo_create(0)", "CREATE TABLE public.x (n int)", "CREATE SCHEMA x", "CREATE EXTENSION pgcrypto",
		"CREATE ROLE x", "SET ROLE " + postgres.Identifier(w.node(bob).GetVaultDmlConnectionId()), "DROP TABLE fairlead_about", "CREATE TEMP TABLE x (n int)",
		"COPY account TO PROGRAM 'true'", "COPY account TO '/dev/null'", "DELETE FROM fairlead_migration", "SELECT pg_notify('x', 'y')", "ALTER SYSTEM SET fsync = off",
		"SELECT query_to_xml('SELECT 1', true, true, '')", "SELECT * FROM pg_authid",
	}
	for _, role := range []clusterdb.RoleName{clusterdb.DDL, clusterdb.DML} {
		p := w.as(alice, role)
		for _, sql := range tries {
			if _, err := p.Exec(t.Context(), sql); err == nil {
				t.Errorf("%s may: %s", role, sql)
			}
		}
		// DISCARD ALL, which a pool runs between uses, needs none of the functions that were taken away.
		if _, err := p.Exec(t.Context(), "SELECT 1"); err != nil {
			t.Errorf("%s after all: %v", role, err)
		}
	}
	if _, err := w.as(alice, clusterdb.DML).Exec(t.Context(), "CREATE TABLE mine (n int)"); err == nil {
		t.Error("the data role makes tables")
	}
	other := pgtest.Open(t, postgres.Config{URL: w.clusterURL, User: w.node(alice).GetVaultDmlConnectionId(), Password: "x"})
	if err := other.Ping(t.Context()); err == nil {
		t.Error("a tenant's role reaches the cluster's database")
	}
	if _, err := w.pool(w.clusterURL).Exec(t.Context(), "DELETE FROM audit"); err == nil {
		t.Error("the audit can be rewritten")
	}
}
