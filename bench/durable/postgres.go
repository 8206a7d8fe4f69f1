package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
)

// keeping is what a Postgres server makes of a commit before it answers.
type keeping int

const (
	// keepUnsynced: the system has the write-ahead log, and nobody waits for the disk (fsync=off).
	keepUnsynced keeping = iota
	// keepSynced: the disk has it, Postgres' default.
	keepSynced
	// keepTwice: the disk has it, and so has that of a second server (a synchronous standby).
	keepTwice
)

// postgres starts a server, and a second one that follows it where that is wanted.
func (s *system) postgres(ctx context.Context, keep keeping) (*pgserver.Server, error) {
	o := pgserver.Options{Dir: filepath.Join(s.dir, "postgres"), Durable: keep != keepUnsynced, Settings: map[string]string{"shared_buffers": "256MB", "max_wal_size": "4GB"}}
	if keep == keepTwice {
		o.Settings["wal_level"], o.Settings["max_wal_senders"] = "replica", "4"
	}
	first, err := s.startPostgres(ctx, o)
	if err != nil || keep != keepTwice {
		return first, err
	}
	o.Dir = filepath.Join(s.dir, "standby")
	if err := copyPostgres(ctx, first, filepath.Join(s.dir, "postgres"), o.Dir); err != nil {
		return nil, fmt.Errorf("copy the database: %w", err)
	}
	if _, err := s.startPostgres(ctx, o); err != nil {
		return nil, fmt.Errorf("start the standby: %w", err)
	}
	return first, waitForStandby(ctx, first)
}

func (s *system) startPostgres(ctx context.Context, o pgserver.Options) (*pgserver.Server, error) {
	db, err := pgserver.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	s.ends = append(s.ends, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		// It need not end well, and is killed when it does not end in time: what counts is that nothing stays.
		_ = db.Stop(ctx)
		return nil
	})
	return db, nil
}

// copyPostgres makes the folder of a server that follows another one, whose folder is from.
func copyPostgres(ctx context.Context, first *pgserver.Server, from, to string) error {
	programs, err := pgserver.Find(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	_, err = tool(ctx, to, nil, filepath.Join(programs.Dir, "pg_basebackup"), "--dbname", first.URL("postgres"), "--pgdata", filepath.Join(to, "data"),
		"--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(to, "password"), []byte(first.Password()+"\n"), 0o600); err != nil {
		return err
	}
	// Who owns the one runs the other: where this program is root, Postgres is not.
	info, err := os.Stat(filepath.Join(from, "data"))
	if err != nil {
		return err
	}
	uid, gid, known := ownerOf(info)
	if !known || uid == os.Geteuid() {
		return nil
	}
	return filepath.WalkDir(filepath.Join(to, "data"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid) //nolint:gosec // the folder is this run's own
	})
}

// waitForStandby has commits wait for the standby from now on, and returns when they do.
func waitForStandby(ctx context.Context, first *pgserver.Server) error {
	pool, err := postgres.Open(ctx, postgres.Config{URL: first.URL("postgres"), MaxConns: 1})
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, "ALTER SYSTEM SET synchronous_standby_names = '*'"); err != nil {
		return err
	}
	if _, err := pool.Exec(ctx, "SELECT pg_reload_conf()"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	err = kafkatest.Until(ctx, 50*time.Millisecond, func() (bool, error) {
		var following bool
		err := pool.One(ctx, []any{&following}, "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')")
		return following, err
	})
	if err != nil {
		return fmt.Errorf("wait for the standby: %w", err)
	}
	return nil
}

// temporalDatabases makes Temporal's databases, with the tool that comes with the server.
func temporalDatabases(ctx context.Context, dir, programs string, db *pgserver.Server) error {
	if err := db.Ensure(ctx, temporalStore, temporalVisibility); err != nil {
		return err
	}
	var errs []error
	for name, schema := range map[string]string{temporalStore: "temporal", temporalVisibility: "visibility"} {
		// The password is that of a server which lives as long as the run.
		access := []string{"SQL_HOST=127.0.0.1", fmt.Sprintf("SQL_PORT=%d", db.Port()), "SQL_USER=" + pgserver.User, "SQL_PASSWORD=" + db.Password(), "SQL_PLUGIN=" + temporalPlugin, "SQL_DATABASE=" + name}
		program := filepath.Join(programs, temporalSchema)
		if _, err := tool(ctx, dir, access, program, "setup-schema", "-v", "0.0"); err != nil {
			errs = append(errs, err)
			continue
		}
		_, err := tool(ctx, dir, access, program, "update-schema", "--schema-name", "postgresql/v12/"+schema)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// postgresVersion is that of the machine's Postgres.
func postgresVersion(ctx context.Context) string {
	b, err := pgserver.Find(ctx)
	if err != nil {
		return "none: " + exec.ErrNotFound.Error()
	}
	return b.Version
}
