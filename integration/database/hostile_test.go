package database_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/internal/vaultdb"
	"github.com/fairleadio/fairlead/processors/database"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
)

// block runs a statement in a body that no reader of the package looks into.
func block(sql string) string { return "DO $b$ BEGIN EXECUTE $e$" + sql + "$e$; END $b$" }

// What a package's migrations try beyond their own schema ends the making of that virtual node, is told with the file,
// and touches nobody else. Those that the reader of SQL refuses never get so far: they end the upload.
func TestHostileMigrations(t *testing.T) {
	w := newWorld(t, pgtest.Database(t), pgtest.Database(t))
	w.limits = vaultdb.Limits{Statement: 500 * time.Millisecond, Lock: 500 * time.Millisecond, Whole: 5 * time.Second}
	w.start()
	victim := w.create("O=Victim, L=Oslo, C=NO", w.installed(bank("1")))
	w.succeeds(victim)
	names := vaultdb.NamesOf(victim, "")
	theirs, dml := names.Schema, w.node(victim).GetVaultDmlConnectionId()
	version := 1
	hostile := func(sql string) pack {
		version++
		p := bank(fmt.Sprint(version), postgres.Migration{Name: "0666_escape.sql", SQL: "-- looks harmless\n" + sql})
		p.Module = []byte("wasm")
		return p
	}
	for sql, says := range map[string]string{
		"SET search_path = " + theirs: "SET is not allowed", "SET ROLE " + dml: "SET is not allowed", "RESET ROLE": "RESET is not allowed",
		"COPY account TO PROGRAM 'cat'": "COPY is not allowed", "COMMIT; DROP TABLE account": "COMMIT is not allowed", "CALL p()": "CALL is not allowed",
		"SELECT 1 $$": "not closed", "DELETE FROM fairlead_migration": "fairlead_migration begins with fairlead_", "CREATE TABLE fl_request (i int)": "fl_request begins with fl_",
		"VACUUM": "VACUUM is not allowed", "LOCK TABLE account": "LOCK is not allowed", "LISTEN x": "LISTEN is not allowed", "PREPARE p AS SELECT 1": "PREPARE is not allowed",
	} {
		file := hostile(sql).file(t)
		id := fmt.Sprintf("hostile-%d", version)
		w.upload(id, file, false)
		s := w.ended(id)
		if s.GetErrorId() != database.ErrStatement || !strings.Contains(s.GetError(), says) || !strings.Contains(s.GetError(), "migration 0666_escape.sql of cpk") || !strings.Contains(s.GetError(), "line 2") {
			t.Errorf("%s: %s %s; want %s, %q with file and line", sql, s.GetErrorId(), s.GetError(), database.ErrStatement, says)
		}
	}
	const forever = "DO $$ BEGIN LOOP BEGIN PERFORM count(*) FROM generate_series(1, 100000000); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$"
	for i, c := range []struct{ sql, id, says string }{
		{"SELECT set_config('search_path', '" + theirs + "', false)", database.ErrMigration, "permission denied for function set_config"},
		{block("SET LOCAL search_path = "+theirs) + "; INSERT INTO account VALUES ('thief', 1)", database.ErrMigration, `relation "account" does not exist`},
		{block("SET ROLE " + dml), database.ErrMigration, "permission denied to set role"},
		{block("SET SESSION AUTHORIZATION " + dml), database.ErrMigration, "permission denied to set session authorization"},
		{block("COPY account TO PROGRAM 'cat'"), database.ErrMigration, "SQLSTATE 42501"},
		{block("COPY account FROM '/etc/passwd'"), database.ErrMigration, "SQLSTATE 42501"},
		{block("COMMIT"), database.ErrMigration, "0666_escape.sql"},
		{"DO $$ BEGIN COMMIT; END $$", database.ErrMigration, "invalid transaction termination"},
		{"CREATE EXTENSION dblink", database.ErrMigration, "extension"},
		{block("CREATE EXTENSION pgcrypto"), database.ErrMigration, "extension"},
		{"CREATE SCHEMA other", database.ErrMigration, "permission denied for database"},
		{"CREATE TABLE " + theirs + ".x (i int)", database.ErrMigration, "permission denied for schema"},
		{"CREATE TABLE public.x (i int)", database.ErrMigration, "permission denied for schema public"},
		{"INSERT INTO account SELECT * FROM " + theirs + ".account", database.ErrMigration, "permission denied for schema"},
		{block("DROP SCHEMA " + theirs + " CASCADE"), database.ErrMigration, "must be owner of schema"},
		{"CREATE FUNCTION leak() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ SELECT balance FROM " + theirs + ".account $$", database.ErrMigration, "permission denied for schema"},
		{"CREATE FUNCTION c() RETURNS int LANGUAGE c AS 'libc', 'system'", database.ErrMigration, "permission denied for language c"},
		{"GRANT " + dml + " TO CURRENT_USER", database.ErrMigration, "SQLSTATE 42501"},
		{"CREATE ROLE other", database.ErrMigration, "SQLSTATE 42501"},
		{"ALTER ROLE CURRENT_USER SUPERUSER", database.ErrMigration, "SQLSTATE 42501"},
		{block("DROP TABLE fairlead_about"), database.ErrMigration, "must be owner"},
		{block("UPDATE fairlead_migration SET checksum = ''"), database.ErrMigration, "permission denied"},
		{block("CREATE OR REPLACE FUNCTION fl_capture() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'"), database.ErrMigration, "must be owner"},
		{block("CREATE TABLE fl_later (i int)"), database.ErrStatement, "make fl_later"},
		{block("CREATE FUNCTION fairlead_f() RETURNS int LANGUAGE sql AS 'SELECT 1'"), database.ErrStatement, "make fairlead_f"},
		{"SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100) b", database.ErrMigration, "statement timeout"},
		{forever, database.ErrMigration, "was ended"},
		{"CREATE FUNCTION spin() RETURNS int LANGUAGE plpgsql AS $$ BEGIN SET LOCAL statement_timeout = 0; SET client_connection_check_interval = 0; LOOP END LOOP; END $$; SELECT spin()", database.ErrMigration, "statement timeout"},
	} {
		checksum := w.installed(hostile(c.sql))
		hash := w.create(fmt.Sprintf("O=Thief %d, L=Oslo, C=NO", i), checksum)
		s := w.ended(hash)
		if s.GetState() != operationv1.OperationState_OPERATION_STATE_FAILED || s.GetErrorId() != c.id || !strings.Contains(s.GetError(), c.says) {
			t.Errorf("%s: %s, %s %s; want %s, %q", c.sql, s.GetState(), s.GetErrorId(), s.GetError(), c.id, c.says)
		}
		if c.id == database.ErrMigration && !strings.Contains(s.GetError(), "0666_escape.sql") {
			t.Errorf("%s: the file is not named: %s", c.sql, s.GetError())
		}
	}
	// Nothing is left at work, nobody was touched, and the worker goes on.
	admin := w.pool(w.vnodeURL)
	w.until("the end of the sessions of migrations", func() bool {
		n := 0
		if err := admin.One(t.Context(), []any{&n}, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fairlead migrations' AND state = 'active'"); err != nil {
			t.Error(err)
		}
		return n == 0
	})
	var rows, balance int
	if err := w.as(victim, clusterdb.DML).One(t.Context(), []any{&rows, &balance}, "SELECT count(*), sum(balance) FROM account"); err != nil || rows != 1 || balance != 100 {
		t.Errorf("the victim has %d rows with %d, %v", rows, balance, err)
	}
	w.succeeds(w.create("O=Bystander, L=Oslo, C=NO", w.node(victim).GetCpiChecksum()))
}
