package persistence_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	"github.com/fairleadio/fairlead/internal/rows"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// Migrations of an application that tries to get out. Its functions run whatever text they are given: the worst that
// an application can have.
const hostile = `
CREATE TABLE own (id int PRIMARY KEY, v text);
INSERT INTO own VALUES (1, 'mine');
CREATE FUNCTION run(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  EXECUTE sql INTO r;
  RETURN r;
END $$;
CREATE FUNCTION run_as_owner(sql text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE r text;
BEGIN
  EXECUTE sql INTO r;
  RETURN r;
END $$;
CREATE FUNCTION stubborn() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  LOOP
    BEGIN
      PERFORM count(*) FROM generate_series(1, 100000000);
    EXCEPTION WHEN query_canceled THEN
      NULL;
    END;
  END LOOP;
END $$;`

func hostileApp() app {
	return app{
		tables: []*cpiv1.TableDeclaration{table("own", "id", "id integer", "v text")},
		queries: []*cpiv1.QueryDeclaration{
			query("read", "SELECT run(:sql) AS r", "sql text"),
			query("read_as_owner", "SELECT run_as_owner(:sql) AS r", "sql text"),
			writing(query("write", "SELECT run(:sql) AS r", "sql text")),
			writing(query("write_as_owner", "SELECT run_as_owner(:sql) AS r", "sql text")),
			query("stubborn", "SELECT stubborn()"),
			query("slow", "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100) b"),
			query("ping", "SELECT 1 AS one"),
		},
	}
}

func parameter(sql string) []byte {
	f, err := rows.Object([]rows.Field{{Name: "sql", OID: 25}}, [][]byte{[]byte(sql)})
	if err != nil {
		panic(err)
	}
	return f
}

// Nothing that an application's SQL says reaches beyond its own rows: whatever is run, as the data's role and as the
// owner of the application's tables, is refused.
func TestEscapes(t *testing.T) {
	w := newWorld(t, "")
	a := hostileApp()
	victimApp := app{tables: []*cpiv1.TableDeclaration{table("secret", "id", "id integer", "v text")}}
	victim := w.vnode(2, victimApp.cpi(), "CREATE TABLE secret (id int PRIMARY KEY, v text); INSERT INTO secret VALUES (1, 'canary')")
	h := w.vnode(1, a.cpi(), hostile)
	pool := w.pool(vnodes.Config{})
	c := w.client(pool, h, a.cpi())
	theirs, dml, ddl := w.logins[victim].Schema, w.logins[victim].User, w.vaults.Names(victim).DDL
	ownDDL, database := w.vaults.Names(h).DDL, w.admin.Database()
	v := w.client(pool, victim, victimApp.cpi())
	v.ok(&appv1.FindRows{Table: "secret"}, nil) // so that there is a session of theirs

	var theirPid string
	if err := w.admin.One(t.Context(), []any{&theirPid}, "SELECT pid::text FROM pg_stat_activity WHERE usename = $1", dml); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		// becoming somebody else
		"SET ROLE " + dml, "SET ROLE " + ddl, "SET ROLE " + ownDDL, "SET ROLE fairlead", "SET SESSION AUTHORIZATION " + dml, "SET SESSION AUTHORIZATION fairlead",
		"GRANT " + dml + " TO CURRENT_USER", "GRANT pg_read_all_data TO CURRENT_USER", "CREATE ROLE other", "ALTER ROLE CURRENT_USER SUPERUSER",
		"ALTER ROLE CURRENT_USER BYPASSRLS", "ALTER ROLE " + dml + " PASSWORD 'x'", "COMMENT ON ROLE " + dml + " IS 'x'", "ALTER ROLE CURRENT_USER CONNECTION LIMIT 1000",
		// others' data
		"SELECT v FROM " + theirs + ".secret", "UPDATE " + theirs + ".secret SET v = 'x'", "DELETE FROM " + theirs + ".secret", "LOCK TABLE " + theirs + ".secret",
		"TRUNCATE " + theirs + ".secret", "DROP SCHEMA " + theirs + " CASCADE", "ALTER SCHEMA " + theirs + " OWNER TO CURRENT_USER", "CREATE TABLE " + theirs + ".x (i int)",
		"COMMENT ON SCHEMA " + theirs + " IS 'x'", "GRANT USAGE ON SCHEMA " + theirs + " TO CURRENT_USER", "SELECT count(*) FROM " + theirs + ".fl_request",
		// the machine
		"COPY own TO PROGRAM 'cat'", "COPY own FROM PROGRAM 'echo 1'", "COPY own TO '/tmp/x'", "COPY own FROM '/etc/passwd'", "LOAD 'auto_explain'",
		"SELECT pg_read_file('/etc/passwd')", "SELECT pg_ls_dir('/')", "SELECT pg_stat_file('/')::text", "SELECT lo_import('/etc/passwd')::text", "SELECT lo_create(0)::text",
		"SELECT lo_from_bytea(0, 'x')::text", "CREATE EXTENSION dblink", "CREATE EXTENSION pgcrypto", "CREATE EXTENSION file_fdw", "CREATE FUNCTION c() RETURNS int LANGUAGE c AS 'libc', 'system'",
		"CREATE FUNCTION c() RETURNS int LANGUAGE internal AS 'pg_backend_pid'", "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw", "CREATE LANGUAGE plpython3u",
		// the database and the server
		"CREATE SCHEMA other", "CREATE DATABASE other", "DROP DATABASE " + database, "ALTER DATABASE " + database + " SET work_mem = '1GB'", "ALTER SYSTEM SET work_mem = '1GB'",
		"CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION run('x')", "CREATE PUBLICATION p FOR ALL TABLES", "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p",
		"CREATE TABLE public.x (i int)", "CREATE FUNCTION public.x() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE TEMPORARY TABLE x (i int)", "CREATE TEMPORARY VIEW x AS SELECT 1",
		"CREATE TABLE pg_temp.x (i int)", "CREATE TABLESPACE t LOCATION '/tmp'", "CHECKPOINT", "ALTER DEFAULT PRIVILEGES FOR ROLE " + dml + " GRANT ALL ON TABLES TO PUBLIC",
		"CREATE TABLE pg_catalog.x (i int)", "UPDATE pg_catalog.pg_authid SET rolsuper = true", "SELECT rolpassword FROM pg_catalog.pg_authid",
		// the session and others'
		"COMMIT", "ROLLBACK", "BEGIN", "SAVEPOINT s", "PREPARE TRANSACTION 'x'", "VACUUM", "DISCARD ALL",
		"SELECT set_config('statement_timeout', '0', false)", "SELECT pg_sleep(0)::text", "SELECT pg_sleep_for('1ms')::text", "SELECT pg_advisory_lock(1)::text",
		"SELECT pg_try_advisory_lock(1)::text", "SELECT pg_advisory_xact_lock(1)::text", "SELECT pg_notify('x', 'y')::text", "SELECT pg_export_snapshot()",
		"SELECT pg_terminate_backend(" + theirPid + ")::text", "SELECT pg_cancel_backend(" + theirPid + ")::text", "SELECT pg_reload_conf()::text", "SELECT pg_logical_emit_message(true, 'x', 'y')::text",
		"SELECT query_to_xml('SELECT 1', true, true, '')::text", "SELECT database_to_xml(true, true, '')::text", "SET session_replication_role = replica", "SET log_statement = 'all'",
		// who else is here
		"SELECT string_agg(rolname, ',') FROM pg_catalog.pg_roles", "SELECT string_agg(nspname, ',') FROM pg_catalog.pg_namespace", "SELECT string_agg(relname, ',') FROM pg_catalog.pg_class",
		"SELECT string_agg(usename, ',') FROM pg_catalog.pg_stat_activity", "SELECT string_agg(query, ',') FROM pg_catalog.pg_stat_activity", "SELECT string_agg(datname, ',') FROM pg_catalog.pg_database",
		"SELECT string_agg(prosrc, ',') FROM pg_catalog.pg_proc", "SELECT string_agg(description, ',') FROM pg_catalog.pg_description", "SELECT string_agg(description, ',') FROM pg_catalog.pg_shdescription",
		"SELECT count(*) FROM pg_catalog.pg_locks", "SELECT count(*) FROM pg_catalog.pg_statistic", "SELECT count(*) FROM pg_catalog.pg_stats", "SELECT count(*) FROM pg_catalog.pg_stat_user_tables",
		"SELECT pg_get_functiondef('" + h + "'::regproc)", "SELECT pg_get_userbyid(10)", "SELECT string_agg(setconfig::text, ',') FROM pg_catalog.pg_db_role_setting",
	} {
		for _, q := range []string{"read", "read_as_owner", "write", "write_as_owner"} {
			r := c.do("", &appv1.NamedQuery{Name: q, Parameters: parameter(sql)})
			if r.Err != nil {
				t.Errorf("%s: %s: %v", q, sql, r.Err)
			}
			if r.Reply.GetError() == nil {
				p := page(t, r.Reply.GetResult())
				t.Errorf("%s: %s was not refused: %s", q, sql, text(p.GetRows()))
			}
		}
	}
	// Reading never writes, whoever is asked to.
	for _, sql := range []string{"UPDATE own SET v = 'x'", "INSERT INTO own VALUES (2)", "CREATE TABLE x (i int)", "SELECT nextval('s')::text", "SELECT v FROM own FOR UPDATE",
		"SET TRANSACTION READ WRITE", "SET transaction_read_only = off", "DO $x$ BEGIN UPDATE own SET v = 'x'; END $x$", "ALTER ROLE CURRENT_USER PASSWORD 'x'"} {
		for _, q := range []string{"read", "read_as_owner"} {
			if r := c.do("", &appv1.NamedQuery{Name: q, Parameters: parameter(sql)}); r.Reply.GetError() == nil {
				t.Errorf("%s: %s was not refused", q, sql)
			}
		}
	}
	if got := text(c.query("read", `{"sql":"SELECT v FROM own"}`).GetRows()); got != `{"r":"mine"}` {
		t.Errorf("own rows: %s", got)
	}
	found := &appv1.Rows{}
	v.ok(&appv1.FindRows{Table: "secret", Keys: objects(`{"id":1}`)}, found)
	if text(found.GetRows()) != `{"id":1,"v":"canary"}` {
		t.Errorf("the victim has %s", text(found.GetRows()))
	}
}

func page(t testing.TB, b []byte) *appv1.Page {
	t.Helper()
	p := &appv1.Page{}
	if err := unmarshal(b, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// What a statement leaves in its session is gone before the next one.
func TestNothingStays(t *testing.T) {
	w := newWorld(t, "")
	a := hostileApp()
	c := w.client(w.pool(vnodes.Config{MaxPerVnode: 1}), w.vnode(1, a.cpi(), hostile), a.cpi())
	look := func(sql string) string {
		t.Helper()
		p := &appv1.Page{}
		c.ok(&appv1.NamedQuery{Name: "read", Parameters: parameter(sql)}, p)
		return member(t, p.GetRows()[0], "r")
	}
	pid := look("SELECT pg_backend_pid()::text")
	path, limit := look("SHOW search_path"), look("SHOW statement_timeout")
	for _, sql := range []string{"SET search_path = pg_catalog", "SET statement_timeout = 0", "SET timezone = 'Asia/Tokyo'", "SET bytea_output = escape", "SET my.secret = 'x'",
		"PREPARE p AS SELECT 1", "LISTEN x", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "SET default_transaction_read_only = on", "SET lock_timeout = 0"} {
		c.do("", &appv1.NamedQuery{Name: "write", Parameters: parameter(sql)})
	}
	for sql, want := range map[string]string{
		"SHOW search_path": path, "SHOW statement_timeout": limit, "SHOW timezone": `"UTC"`, "SHOW bytea_output": `"hex"`, "SHOW default_transaction_read_only": `"off"`,
		"SELECT coalesce(nullif(current_setting('my.secret', true), ''), 'gone')": `"gone"`, "SELECT pg_backend_pid()::text": pid,
	} {
		if got := look(sql); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	for _, sql := range []string{"EXECUTE p", "FETCH c"} {
		if r := c.do("", &appv1.NamedQuery{Name: "read", Parameters: parameter(sql)}); r.Reply.GetError() == nil {
			t.Errorf("%s: something stayed", sql)
		}
	}
}

// A statement that takes too long is cancelled, one that catches the cancellation is terminated, and the virtual node
// goes on.
func TestTimeLimit(t *testing.T) {
	w := newWorld(t, "")
	a := hostileApp()
	pool := w.pool(vnodes.Config{TimeLimit: 300 * time.Millisecond, CancelPatience: 300 * time.Millisecond, MaxPerVnode: 2})
	h := w.vnode(1, a.cpi(), hostile)
	c := w.client(pool, h, a.cpi())
	c.fails(&appv1.NamedQuery{Name: "slow"}, "timeout", "query slow", "too long")
	c.fails(&appv1.NamedQuery{Name: "stubborn"}, "timeout", "query stubborn")
	c.fails(&appv1.NamedQuery{Name: "write", Parameters: parameter("SELECT stubborn()::text")}, "timeout")
	c.fails(&appv1.NamedQuery{Name: "write", Parameters: parameter("SET statement_timeout = 0; SET client_connection_check_interval = 0; SELECT stubborn()::text")}, "timeout")
	c.query("ping", "{}")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := kafkatest.Until(ctx, 20*time.Millisecond, func() (bool, error) {
		n := 0
		err := w.admin.One(ctx, []any{&n}, "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND state = 'active'", w.logins[h].User)
		return n == 0 && pool.Stats().Busy == 0, err
	})
	if err != nil {
		t.Errorf("sessions are still at work: %v", err)
	}
}

// What the platform writes itself waits for a lock of another process for as long as its requester does: that the lock is
// held is not the application's fault, and no answer that it gets.
func TestLockOfAnother(t *testing.T) {
	w := newWorld(t, "")
	a := itemApp()
	h := w.vnode(1, a.cpi(), itemTable)
	c := w.client(w.pool(vnodes.Config{TimeLimit: 200 * time.Millisecond, LockTimeout: 200 * time.Millisecond}), h, a.cpi())
	op := &appv1.PersistRows{Table: "item", Rows: objects(`{"id":1,"v":"a"}`)}
	err := w.admin.InTx(t.Context(), postgres.TxOptions{}, func(ctx context.Context, tx *postgres.Tx) error {
		if _, err := tx.Exec(ctx, "LOCK TABLE "+postgres.Identifier(w.logins[h].Schema)+".item IN EXCLUSIVE MODE"); err != nil {
			return err
		}
		if r := c.do("one", op); r.Err == nil || r.Reply != nil {
			t.Errorf("answered %v, %v; want an error that has it run again", r.Reply, r.Err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := c.do("one", op); r.Err != nil || r.Reply.GetError() != nil {
		t.Errorf("run again: %v, %v", r.Err, r.Reply.GetError())
	}
}

// A virtual node that takes all that it can get leaves the others their share, and the process keeps its bounds.
func TestConnectionBounds(t *testing.T) {
	w := newWorld(t, "")
	a := hostileApp()
	const total, each, others = 6, 3, 20
	pool := w.pool(vnodes.Config{Max: total, MaxPerVnode: each, TimeLimit: 20 * time.Second})
	greedy := w.client(pool, w.vnode(1, a.cpi(), hostile), a.cpi())
	hold, release := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			err := pool.Read(hold, greedy.vnode, func(tx *vnodes.Tx) error {
				tx.Queue(rows.Statement{SQL: "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 1000) b"}, nil)
				return nil
			})
			if err == nil {
				t.Error("a statement that never ends has ended")
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := kafkatest.Until(ctx, time.Millisecond, func() (bool, error) { return pool.Stats().Waiting == 30-each, nil }); err != nil {
		t.Fatal(err)
	}
	for n := range others {
		h := w.vnode(10+n, a.cpi(), hostile)
		c := w.client(pool, h, a.cpi())
		for range 3 {
			c.query("ping", "{}")
		}
		if s := pool.Stats(); s.Open > total || s.Busy > each+1 {
			t.Fatalf("%+v", s)
		}
	}
	n := 0
	if err := w.admin.One(ctx, []any{&n}, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fairlead-persistence' AND datname = current_database()"); err != nil || n > total {
		t.Errorf("the server has %d connections, %v", n, err)
	}
	release()
	wg.Wait()
	if err := kafkatest.Until(ctx, 5*time.Millisecond, func() (bool, error) { s := pool.Stats(); return s.Busy == 0 && s.Waiting == 0, nil }); err != nil {
		t.Errorf("%+v", pool.Stats())
	}
	greedy.query("ping", "{}")
}

// A login that was changed is found out, and the old one's connections are not used again.
func TestChangedLogin(t *testing.T) {
	w := newWorld(t, "")
	a := hostileApp()
	h := w.vnode(1, a.cpi(), hostile)
	rejected := 0
	old := w.logins[h]
	pool := w.pool(vnodes.Config{Rejected: func(string) {
		rejected++
		w.mu.Lock()
		defer w.mu.Unlock()
		l := w.logins[h]
		l.Password = "new"
		w.logins[h] = l
	}})
	c := w.client(pool, h, a.cpi())
	c.query("ping", "{}")
	if err := w.vaults.SetPassword(t.Context(), old.User, "new"); err != nil {
		t.Fatal(err)
	}
	c.query("ping", "{}") // the connection that is there is still good
	pool.Forget(h)
	c.query("ping", "{}")
	if rejected != 1 {
		t.Errorf("the old login was refused %d times", rejected)
	}
}

// Values never become SQL, and no request names a table or a column that is not declared.
func TestInjection(t *testing.T) {
	w := newWorld(t, "")
	a := hostileApp()
	c := w.client(w.pool(vnodes.Config{}), w.vnode(1, a.cpi(), hostile), a.cpi())
	for n, s := range []string{`'; DROP TABLE own; --`, `$1`, `:sql`, `"own"`, `\'; DROP TABLE own; --`, "x'||(SELECT v FROM own)||'", strings.Repeat("'", 1001)} {
		row, err := rows.Object([]rows.Field{{Name: "id", OID: 23}, {Name: "v", OID: 25}}, [][]byte{fmt.Appendf(nil, "%d", n+10), []byte(s)})
		if err != nil {
			t.Fatal(err)
		}
		c.ok(&appv1.PersistRows{Table: "own", Rows: [][]byte{row}}, nil)
		found := &appv1.Rows{}
		c.ok(&appv1.FindRows{Table: "own", Keys: [][]byte{row}}, found)
		if string(found.GetRows()[0]) != string(row) {
			t.Errorf("%s became %s", row, found.GetRows()[0])
		}
	}
	for _, name := range []string{"own; DROP TABLE own", `own"`, "fl_request", "pg_catalog.pg_class", "OWN", ""} {
		c.fails(&appv1.FindAllRows{Table: name}, "not-declared")
	}
	c.fails(&appv1.PersistRows{Table: "own", Rows: objects(`{"id":1,"v) VALUES (1); --":"x"}`)}, "invalid-row", "not declared")
	c.fails(&appv1.NamedQuery{Name: "SELECT 1"}, "not-declared")
}
