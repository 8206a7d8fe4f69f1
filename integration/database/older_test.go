package database_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/internal/postgres/vaultschema"
	"github.com/fairleadio/fairlead/internal/vaultdb"
	"github.com/fairleadio/fairlead/processors/database"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
)

// older is SQL that leaves in a schema what the first version of the platform's migrations made there.
func older(t *testing.T, schema string) string {
	t.Helper()
	all, err := vaultschema.Migrations()
	if err != nil {
		t.Fatal(err)
	}
	last := slices.IndexFunc(all, func(m postgres.Migration) bool { return m.Name == "0003_feed.sql" })
	if last < 0 {
		t.Fatal("0003_feed.sql is gone")
	}
	var sql strings.Builder
	s := postgres.Identifier(schema)
	sql.WriteString(`DO $$ DECLARE r record; BEGIN
FOR r IN SELECT tablename AS n FROM pg_tables WHERE schemaname = ` + postgres.Literal(schema) + ` AND (starts_with(tablename, 'fl_') OR tablename = 'fairlead_about') LOOP
  EXECUTE format('DROP TABLE ` + s + `.%I CASCADE', r.n);
END LOOP;
FOR r IN SELECT oid::regprocedure AS f FROM pg_proc WHERE pronamespace = ` + postgres.Literal(s) + `::regnamespace AND starts_with(proname, 'fl_') LOOP
  EXECUTE format('DROP FUNCTION %s CASCADE', r.f);
END LOOP;
END $$;
SET search_path TO ` + s + `;
DELETE FROM fairlead_migration;
`)
	for _, m := range all[:last+1] {
		sql.WriteString(m.SQL + ";\nINSERT INTO fairlead_migration (set_name, name, checksum) VALUES ('platform', '" + m.Name + "', '" + m.Checksum() + "');\n")
	}
	return sql.String()
}

// A new version of fairlead brings the schemas that exist up to what it needs, at its start and at an upgrade of the
// virtual node; where it may not, it says what to do, and goes on when that is done.
func TestSchemasOfAnOlderVersion(t *testing.T) {
	w, b := newWorld(t, pgtest.Database(t), pgtest.Database(t)), bring(t)
	w.start()
	first, second := w.installed(bank("1")), w.installed(bank("2"))
	own := w.create("O=Own, L=London, C=GB", first)
	w.succeeds(own)
	elsewhere := map[string]string{} // schema: virtual node
	for _, schema := range []string{"both", "dropped", "byhand"} {
		hash, m := w.createWith("O="+schema+", L=London, C=GB", first, b.connection(b.ddl, schema), b.connection(b.dml, schema))
		w.must("vnode/"+hash, m, nil)
		w.succeeds(hash)
		elsewhere[schema] = hash
	}
	if s := w.changes(elsewhere["byhand"], w.sealed(elsewhere["byhand"], "", b.connection(b.dml, "byhand"))); s.GetState() != operationv1.OperationState_OPERATION_STATE_SUCCEEDED {
		t.Fatal(s)
	}
	w.until("the end of the change", func() bool { return w.node(elsewhere["byhand"]).GetOperationInProgress() == "" })

	ours := vaultdb.NamesOf(own, "").Schema
	admin, theirs := w.pool(w.vnodeURL), pgtest.Open(t, postgres.Config{URL: b.url})
	lacks := func(p *postgres.Pool, schema string) []string {
		t.Helper()
		l, err := vaultdb.PlatformLacks(t.Context(), p, schema)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	w.stop()
	pgtest.Script(t, w.vnodeURL, "", "", older(t, ours))
	for schema := range elsewhere {
		b.by(b.ddl, older(t, schema))
	}
	b.run("ALTER SCHEMA dropped OWNER TO CURRENT_USER; REVOKE ALL ON SCHEMA dropped FROM " + b.ddl)
	if len(lacks(admin, ours)) == 0 || len(lacks(theirs, "both")) == 0 {
		t.Fatal("the schemas were not made older")
	}
	w.start()
	w.until("the cluster's own schema", func() bool { return len(lacks(admin, ours)) == 0 })
	w.until("the schema elsewhere", func() bool { return len(lacks(theirs, "both")) == 0 })
	for schema, says := range map[string][]string{
		"dropped": {"let user " + b.ddl + " own the schema", "GET virtualnode/" + elsewhere["dropped"] + "/db/vault/" + first},
		"byhand":  {"lacks the platform's migrations", "GET virtualnode/" + elsewhere["byhand"] + "/db/vault/" + first},
	} {
		w.until("what is said of "+schema, func() bool {
			for line := range strings.Lines(w.log.String()) {
				if strings.Contains(line, database.ErrSchema) && strings.Contains(line, elsewhere[schema]) &&
					!slices.ContainsFunc(says, func(s string) bool { return !strings.Contains(line, s) }) {
					return true
				}
			}
			return false
		})
		if len(lacks(theirs, schema)) == 0 {
			t.Errorf("schema %s was migrated", schema)
		}
	}

	// What the message asks for is enough, may be done twice, and nobody starts anything again.
	b.run("ALTER SCHEMA dropped OWNER TO " + b.ddl + "; GRANT ALL ON SCHEMA dropped TO " + b.ddl)
	var sql dbv1.SchemaSqlResult
	w.must("vnode/x", &dbv1.Request{Operation: &dbv1.Request_SchemaSql{SchemaSql: &dbv1.SchemaSql{Database: "vault", CpiChecksum: first, ShortHash: elsewhere["byhand"]}}}, &sql)
	for range 2 {
		b.by(b.ddl, sql.GetSql())
	}
	if l := lacks(theirs, "byhand"); len(l) > 0 {
		t.Errorf("by hand: %v lack", l)
	}
	w.until("the schema that may be changed again", func() bool { return len(lacks(theirs, "dropped")) == 0 })
	w.until("the schema that was migrated by hand", func() bool {
		for line := range strings.Lines(w.log.String()) {
			if strings.Contains(line, "has what this version needs") && strings.Contains(line, elsewhere["byhand"]) {
				return true
			}
		}
		return false
	})
	for schema, hash := range map[string]string{"": own, "both": elsewhere["both"]} {
		if schema == "" {
			pgtest.Script(t, w.vnodeURL, "", "", older(t, ours))
		} else {
			b.by(b.ddl, older(t, schema))
		}
		w.must("vnode/"+hash, state(hash, maintenance), nil)
		var accepted dbv1.AcceptedOperation
		w.must("vnode/"+hash, &dbv1.Request{Operation: &dbv1.Request_UpgradeVirtualNode{UpgradeVirtualNode: &dbv1.UpgradeVirtualNode{ShortHash: hash, CpiChecksum: second}}}, &accepted)
		w.succeeds(accepted.GetRequestId())
	}
	if l := append(lacks(admin, ours), lacks(theirs, "both")...); len(l) > 0 {
		t.Errorf("after the upgrades %v lack", l)
	}
	w.canaries(t, b.password[b.ddl], b.password[b.dml])
}
