package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

func until(t *testing.T, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := kafkatest.Until(ctx, 10*time.Millisecond, func() (bool, error) { return cond(), nil }); err != nil {
		t.Fatal(err)
	}
}

// Migrations run once and in order, whoever runs them and how often; a changed or unknown one is told.
func TestMigrator(t *testing.T) {
	db := pgtest.Open(t, postgres.Config{URL: pgtest.Database(t)})
	m := postgres.Migrator{Schema: "here", Set: "test", Migrations: []postgres.Migration{
		{Name: "1", SQL: "CREATE TABLE a (n int); INSERT INTO a VALUES (1)"}, {Name: "2", SQL: "INSERT INTO a VALUES (2)"},
	}}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := m.Run(t.Context(), db); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var n int
	if err := db.One(t.Context(), []any{&n}, "SELECT sum(n) FROM here.a"); err != nil || n != 3 {
		t.Fatalf("sum %d, %v", n, err)
	}
	changed := m
	changed.Migrations = []postgres.Migration{m.Migrations[0], {Name: "2", SQL: "SELECT 1"}}
	if _, err := changed.Run(t.Context(), db); !errors.Is(err, postgres.ErrChanged) {
		t.Errorf("changed: %v", err)
	}
	older := m
	older.Migrations = m.Migrations[:1]
	if _, err := older.Run(t.Context(), db); !errors.Is(err, postgres.ErrUnknownMigration) {
		t.Errorf("unknown: %v", err)
	}
	broken := m
	broken.Migrations = append(broken.Migrations, postgres.Migration{Name: "3", SQL: "INSERT INTO a VALUES (3); SELECT nonsense"})
	_, err := broken.Run(t.Context(), db)
	if which := (*postgres.MigrationError)(nil); !errors.As(err, &which) || which.Name != "3" || postgres.ClassOf(err) != postgres.Statement {
		t.Errorf("broken: %v", err)
	}
	if err := db.One(t.Context(), []any{&n}, "SELECT sum(n) FROM here.a"); err != nil || n != 3 {
		t.Fatalf("a failed migration left something: sum %d, %v", n, err)
	}
}

func TestErrorClasses(t *testing.T) {
	db := pgtest.Open(t, postgres.Config{URL: pgtest.Database(t)})
	if _, err := db.Exec(t.Context(), "CREATE TABLE u (n int CONSTRAINT u_key UNIQUE CHECK (n > 0))"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), "INSERT INTO u VALUES ($1)", 1); err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]postgres.Class{
		"INSERT INTO u VALUES (1)":  postgres.Constraint,
		"INSERT INTO u VALUES (-1)": postgres.Constraint,
		"SELECT 1/0":                postgres.Data,
		"SELECT * FROM nowhere":     postgres.Statement,
		"SELEC":                     postgres.Statement,
		"SET statement_timeout=1; SELECT pg_sleep(9)": postgres.Statement, // one statement at a time
	} {
		_, err := db.Exec(t.Context(), sql)
		if postgres.ClassOf(err) != want {
			t.Errorf("%s: %s, want %s: %v", sql, postgres.ClassOf(err), want, err)
		}
	}
	_, err := db.Exec(t.Context(), "INSERT INTO u VALUES (1)")
	if !postgres.Breaks(err, "u_key") || strings.Contains(err.Error(), "(n)=(1)") {
		t.Errorf("got %v", err)
	}
	err = db.InTx(t.Context(), postgres.TxOptions{StatementTimeout: time.Millisecond}, func(ctx context.Context, tx *postgres.Tx) error {
		_, err := tx.Exec(ctx, "SELECT pg_sleep(60)")
		return err
	})
	if postgres.ClassOf(err) != postgres.Timeout {
		t.Errorf("statement time-out: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.Exec(ctx, "SELECT 1"); postgres.ClassOf(err) != postgres.Timeout || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := db.One(t.Context(), nil, "SELECT WHERE false"); !errors.Is(err, postgres.ErrNoRows) {
		t.Errorf("no rows: %v", err)
	}
	wrong := pgtest.Open(t, postgres.Config{URL: pgtest.URL(t), User: "nobody_here", Password: "wrong-password-9"})
	if err := wrong.Ping(t.Context()); err == nil || strings.Contains(err.Error(), "wrong-password-9") {
		t.Errorf("wrong password: %v", err)
	}
}

// A transaction that others break off runs again, and both changes are there.
func TestTransactionsRunAgain(t *testing.T) {
	db := pgtest.Open(t, postgres.Config{URL: pgtest.Database(t)})
	if _, err := db.Exec(t.Context(), "CREATE TABLE c AS SELECT 0 AS n"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			err := db.InTx(t.Context(), postgres.TxOptions{Serializable: true, Retries: 100}, func(ctx context.Context, tx *postgres.Tx) error {
				var n int
				if err := tx.One(ctx, []any{&n}, "SELECT n FROM c"); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, "UPDATE c SET n = $1", n+1)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var n int
	if err := db.One(t.Context(), []any{&n}, "SELECT n FROM c"); err != nil || n != 4 {
		t.Fatalf("%d, %v", n, err)
	}
}

// Of several that want to lead one does; when its connection dies, it stops and another takes over.
func TestLead(t *testing.T) {
	url := pgtest.Database(t)
	db := pgtest.Open(t, postgres.Config{URL: url})
	leading := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		_, err := db.Lead(t.Context(), "x", func(ctx context.Context) error {
			close(started)
			<-ctx.Done()
			return ctx.Err()
		})
		leading <- err
	}()
	<-started
	if held, err := db.Lead(t.Context(), "x", func(context.Context) error { return nil }); held || err != nil {
		t.Fatalf("two lead: %v, %v", held, err)
	}
	var pid int
	if err := db.One(t.Context(), []any{&pid}, "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"); err != nil {
		t.Fatal(err)
	}
	if who, err := db.Leader(t.Context(), "x"); err != nil || !strings.HasPrefix(who, fmt.Sprintf("process %d of the server, fairlead at ", pid)) {
		t.Errorf("process %d leads, and it is said to be %q, %v", pid, who, err)
	}
	if who, err := db.Leader(t.Context(), "y"); err != nil || who != "" {
		t.Errorf("nobody leads y, and %q is said to, %v", who, err)
	}
	if _, err := db.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid() AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"); err != nil {
		t.Fatal(err)
	}
	if err := <-leading; err == nil {
		t.Fatal("a leader without a lock ended without an error")
	}
	until(t, func() bool {
		held, err := db.Lead(t.Context(), "x", func(context.Context) error { return nil })
		return held && err == nil
	})
}

// cut is a way to a server that can be cut: then nothing comes through any more, not even an end.
func cut(t *testing.T, target string) (address string, now func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var frozen atomic.Bool
	over := make(chan struct{})
	pump := func(from, to net.Conn) {
		defer to.Close()
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if frozen.Load() {
				<-over
				return
			}
			if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
				return
			}
		}
	}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", target)
			if err != nil {
				t.Error(err)
				c.Close()
				return
			}
			wg.Go(func() { pump(c, s) })
			wg.Go(func() { pump(s, c) })
		}
	})
	t.Cleanup(func() {
		close(over)
		l.Close()
		wg.Wait()
	})
	return l.Addr().String(), func() { frozen.Store(true) }
}

// Who leads over a network that has died stops before the server, which ends its session, lets another lead.
func TestLeadOverADeadNetwork(t *testing.T) {
	u, err := url.Parse(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	address, die := cut(t, u.Host)
	u.Host = address
	far, err := postgres.Open(t.Context(), postgres.Config{URL: u.String()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // the server's own limit is 25
	defer cancel()
	var cause error
	held, err := far.Lead(ctx, "x", func(ctx context.Context) error {
		die()
		<-ctx.Done()
		cause = context.Cause(ctx)
		return cause
	})
	if !held || ctx.Err() != nil {
		t.Errorf("it leads for as long as it is let: %v, %v, %v", held, err, cause)
	}
}

// The server notices that the other end of a connection is gone without a word: it is what ends a dead host's lead. An operator's
// own settings in the URL stay.
func TestServerNoticesTheDead(t *testing.T) {
	url := pgtest.Database(t)
	if strings.Contains(url, "host=%2F") {
		t.Fatal("a local socket has no keepalives: ", url)
	}
	own := url + "?"
	if strings.Contains(url, "?") {
		own = url + "&"
	}
	for url, want := range map[string][4]string{
		url:                             {"10", "5", "3", "25000"},
		own + "tcp_keepalives_idle=120": {"120", "5", "3", "25000"},
		own + "tcp_user_timeout=":       {"10", "5", "3", "0"},
	} {
		db := pgtest.Open(t, postgres.Config{URL: url})
		for i, name := range []string{"tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout"} {
			var got string
			if err := db.One(t.Context(), []any{&got}, "SHOW "+name); err != nil || got != want[i] {
				t.Errorf("%s is %s, want %s, %v", name, got, want[i], err)
			}
		}
	}
}

// A private server keeps what was committed through a kill, tells when it is away, and comes back on the same port.
func TestServerLives(t *testing.T) {
	dir := t.TempDir()
	s := pgtest.Server(t, pgserver.Options{Dir: dir, Durable: true})
	db := pgtest.Open(t, postgres.Config{URL: s.URL("postgres"), ConnectTimeout: time.Second})
	if _, err := db.Exec(t.Context(), "CREATE TABLE kept AS SELECT 1 AS n"); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return postgres.ClassOf(db.Ping(t.Context())) == postgres.Unavailable })
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	var n int
	until(t, func() bool { return db.One(t.Context(), []any{&n}, "SELECT n FROM kept") == nil })
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := pgtest.Server(t, pgserver.Options{Dir: dir, Durable: true})
	if again.Password() != s.Password() {
		t.Error("the password changed")
	}
	if err := pgtest.Open(t, postgres.Config{URL: again.URL("postgres")}).One(t.Context(), []any{&n}, "SELECT n FROM kept"); err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(again.URL("postgres"), again.Password(), "wrong", 1)
	if err := pgtest.Open(t, postgres.Config{URL: bad}).Ping(t.Context()); err == nil {
		t.Error("the server lets anyone in")
	}
	t.Logf("PostgreSQL %s", again.Version())
}

// A connection that is busy outlives the killed server for as long as its query lasts, and holds its shared memory: the
// next start waits for it.
func TestServerStartsWhileQueriesEnd(t *testing.T) {
	s := pgtest.Server(t, pgserver.Options{})
	db := pgtest.Open(t, postgres.Config{URL: s.URL("postgres"), ConnectTimeout: time.Second})
	ended := make(chan error, 1)
	go func() {
		var n int64
		ended <- db.One(t.Context(), []any{&n}, "SELECT count(*) FROM generate_series(1, 6000000) AS busy WHERE busy % 7 = 3")
	}()
	var n int
	until(t, func() bool {
		err := db.One(t.Context(), []any{&n}, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%busy % 7%' AND pid <> pg_backend_pid()")
		return err == nil && n > 0
	})
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.LogTail(1<<20), "pre-existing shared memory block") {
		t.Error("the query ended too soon for this test")
	}
	until(t, func() bool { return db.Ping(t.Context()) == nil })
	<-ended // it may have had its answer before the connection ended, or not
}

// A folder that no ordinary user can enter, as root's home is, still works for root.
func TestServerInClosedFolder(t *testing.T) {
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	s := pgtest.Server(t, pgserver.Options{Dir: closed + "/below"})
	if err := pgtest.Open(t, postgres.Config{URL: s.URL("postgres")}).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}
