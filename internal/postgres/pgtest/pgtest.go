package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
)

// URLVariable names a server whose user may make databases and roles.
const URLVariable = "POSTGRES_DSN"

// whyVariable tells the tests of a binary why there is no server.
const whyVariable = "FAIRLEAD_POSTGRES_MISSING"

// Run runs the tests of a binary with a server, and returns the exit code.
func Run(m *testing.M) int {
	stop, err := provide()
	if err != nil {
		fmt.Fprintln(os.Stderr, "start Postgres for the tests:", err)
		return 1
	}
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the tests' Postgres:", err)
		return 1
	}
	return code
}

func provide() (stop func() error, err error) {
	nothing := func() error { return nil }
	if os.Getenv(URLVariable) != "" {
		return nothing, kafkatest.Note("real Postgres: yes (the server named by %s)", URLVariable)
	}
	missing := func(why string) (func() error, error) {
		return nothing, errors.Join(os.Setenv(whyVariable, why), kafkatest.Note("real Postgres: no (%s)", why))
	}
	if os.Getenv(kafkatest.RealServersVariable) != "1" {
		return missing(kafkatest.RealServersVariable + "=1 is not set")
	}
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	remove := func() error { return os.RemoveAll(dir) }
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, errors.Join(fmt.Errorf("open the folder for the server: %w", err), remove())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s, err := pgserver.Start(ctx, pgserver.Options{Dir: dir})
	if none := (*pgserver.NotFoundError)(nil); errors.As(err, &none) {
		if err := remove(); err != nil {
			return nil, err
		}
		return missing("none on this machine")
	}
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	stop = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		return errors.Join(s.Stop(ctx), remove())
	}
	if err := errors.Join(os.Setenv(URLVariable, s.URL("postgres")), kafkatest.Note("real Postgres: yes (PostgreSQL %s started here)", s.Version())); err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// URL returns the address of the server's database "postgres"; without a server the test is skipped.
func URL(t testing.TB) string {
	t.Helper()
	if u := os.Getenv(URLVariable); u != "" {
		return u
	}
	why := os.Getenv(whyVariable)
	if why == "" {
		why = "TestMain of this package does not call pgtest.Run"
	}
	t.Skip("needs a real Postgres: " + why)
	return ""
}

// Database makes an empty database that is dropped after the test, and returns its address.
func Database(t testing.TB) string {
	t.Helper()
	server := URL(t)
	name := "t" + strings.ToLower(rand.Text())
	admin(t, server, "CREATE DATABASE "+postgres.Identifier(name))
	t.Cleanup(func() { admin(t, server, "DROP DATABASE "+postgres.Identifier(name)+" WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is not a URL", URLVariable)
	}
	u.Path = "/" + name
	return u.String()
}

func admin(t testing.TB, server, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	p, err := postgres.Open(ctx, postgres.Config{URL: server, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Exec(ctx, sql); err != nil {
		t.Fatalf("prepare the test's database: %v", err)
	}
}

// Open makes a pool that is closed after the test.
func Open(t testing.TB, cfg postgres.Config) *postgres.Pool {
	t.Helper()
	p, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Script runs SQL as psql would, on a connection of its own; an empty user is the one of the URL.
func Script(t testing.TB, url, user, password, sql string) {
	t.Helper()
	cfg, err := pgconn.ParseConfig(url)
	if err != nil {
		t.Fatal("the test's URL cannot be read")
	}
	if user != "" {
		cfg.User, cfg.Password = user, password
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	c, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Exec(ctx, sql).ReadAll()
	if err = errors.Join(err, c.Close(ctx)); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
}

// Server starts a server of the test's own, which it may stop, kill and restart. Without binaries, or where real
// servers are not asked for, the test is skipped.
func Server(t testing.TB, opts pgserver.Options) *pgserver.Server {
	t.Helper()
	if os.Getenv(kafkatest.RealServersVariable) != "1" {
		t.Skip("needs a Postgres of its own: " + kafkatest.RealServersVariable + "=1 is not set")
	}
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s, err := pgserver.Start(ctx, opts)
	if none := (*pgserver.NotFoundError)(nil); errors.As(err, &none) {
		if err := kafkatest.Note("real Postgres: no (none on this machine)"); err != nil {
			t.Fatal(err)
		}
		t.Skip(err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := kafkatest.Note("real Postgres: yes (PostgreSQL %s started here)", s.Version()); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stop Postgres: %v", err)
		}
		if t.Failed() {
			t.Logf("end of Postgres' log:\n%s", s.LogTail(4<<10))
		}
	})
	return s
}
