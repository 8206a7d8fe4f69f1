package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// Migration is one step of a schema's history: SQL under a name that never changes.
type Migration struct {
	Name string
	SQL  string
}

// Checksum is the SHA-256 of the SQL, in hex. Line ends do not count.
func (m Migration) Checksum() string {
	sum := sha256.Sum256([]byte(strings.ReplaceAll(m.SQL, "\r\n", "\n")))
	return hex.EncodeToString(sum[:])
}

// ReadMigrations returns the .sql files of a folder in the order of their names ("0001_first.sql").
func ReadMigrations(files fs.FS, dir string) ([]Migration, error) {
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	var out []Migration
	for _, e := range entries {
		if e.IsDir() || path.Ext(e.Name()) != ".sql" {
			continue
		}
		b, err := fs.ReadFile(files, path.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", e.Name(), err)
		}
		out = append(out, Migration{Name: e.Name(), SQL: string(b)})
	}
	slices.SortFunc(out, func(a, b Migration) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Migrator brings a schema to the end of a list of migrations. Each runs in a transaction of its own with its row of
// the history, so that a process may die anywhere; two at once wait for each other.
type Migrator struct {
	// Schema holds the history and is the search path of the migrations.
	Schema string
	// Set tells the migrations of one origin from those of others in the same schema: "platform", a package's name.
	Set string
	// Migrations in their order. Those that ran must still be there, unchanged.
	Migrations []Migration
	// StatementTimeout and LockTimeout bound each statement. Defaults 10 minutes and 10 s.
	StatementTimeout, LockTimeout time.Duration
	// NoAdvisoryLock is for roles that may not take one; the history's primary key then alone keeps two apart.
	NoAdvisoryLock bool
	// History names the table; default "fairlead_migration". With Existing, it is there already.
	History  string
	Existing bool
	// Split, when set, takes the SQL apart, and the statements run one by one: for SQL of strangers, which must not end
	// the transaction.
	Split func(sql string) ([]string, error)
}

// MigrationError tells that the history and the migrations do not agree, or which migration failed.
type MigrationError struct {
	Schema, Set, Name string
	Err               error
}

// Error names schema, set and migration.
func (e *MigrationError) Error() string {
	return fmt.Sprintf("migration %s of %s in schema %s: %v", e.Name, e.Set, e.Schema, e.Err)
}

// Unwrap returns the cause.
func (e *MigrationError) Unwrap() error { return e.Err }

// ErrChanged tells that a migration that ran has another text now.
var ErrChanged = errors.New("its text is not the one that ran: never change a migration, add another")

// ErrUnknownMigration tells that a migration that ran is not in the list.
var ErrUnknownMigration = errors.New("it ran and is not known here: the schema is of a newer version, or of another package; what it did is never taken back, so only what has it, too, can use the schema")

func (m Migrator) withDefaults() Migrator {
	if m.History == "" {
		m.History = "fairlead_migration"
	}
	if m.StatementTimeout == 0 {
		m.StatementTimeout = 10 * time.Minute
	}
	if m.LockTimeout == 0 {
		m.LockTimeout = 10 * time.Second
	}
	return m
}

// HistoryTable is the SQL that makes the history.
func HistoryTable(schema, table string) string {
	return "CREATE TABLE IF NOT EXISTS " + Qualified(schema, table) + ` (
  set_name text NOT NULL,
  name text NOT NULL,
  checksum text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (set_name, name)
)`
}

// Pending returns the migrations that have not run. A missing history means all.
func (m Migrator) Pending(ctx context.Context, q Queryer) ([]Migration, error) {
	m = m.withDefaults()
	ran := map[string]string{}
	var there bool
	if err := q.One(ctx, []any{&there}, "SELECT to_regclass($1) IS NOT NULL", Qualified(m.Schema, m.History)); err != nil {
		return nil, err
	}
	if there {
		err := q.Each(ctx, func(r Row) error {
			var name, sum string
			if err := r.Scan(&name, &sum); err != nil {
				return err
			}
			ran[name] = sum
			return nil
		}, "SELECT name, checksum FROM "+Qualified(m.Schema, m.History)+" WHERE set_name = $1", m.Set)
		if err != nil {
			return nil, err
		}
	}
	var out []Migration
	for _, mig := range m.Migrations {
		sum, ok := ran[mig.Name]
		delete(ran, mig.Name)
		switch {
		case !ok:
			out = append(out, mig)
		case sum != mig.Checksum():
			return nil, &MigrationError{m.Schema, m.Set, mig.Name, ErrChanged}
		case len(out) > 0:
			return nil, &MigrationError{m.Schema, m.Set, out[0].Name, fmt.Errorf("%s ran before it: add migrations at the end of the list", mig.Name)}
		}
	}
	for name := range ran {
		return nil, &MigrationError{m.Schema, m.Set, name, ErrUnknownMigration}
	}
	return out, nil
}

// Run applies what is pending and returns the names.
func (m Migrator) Run(ctx context.Context, p *Pool) ([]string, error) {
	m = m.withDefaults()
	var done []string
	for {
		name, err := m.Next(ctx, p)
		if err != nil || name == "" {
			return done, err
		}
		done = append(done, name)
	}
}

// Next applies the first pending migration and returns its name, empty when there is none.
func (m Migrator) Next(ctx context.Context, p *Pool) (applied string, err error) {
	m = m.withDefaults()
	for range 5 {
		applied, err = m.next(ctx, p)
		// Another one was faster, where no lock keeps the two apart: its row is there now. The same error out of a
		// migration is the migration's.
		if which := (*MigrationError)(nil); !Breaks(err, m.History+"_pkey") || errors.As(err, &which) {
			break
		}
	}
	return applied, err
}

func (m Migrator) next(ctx context.Context, p *Pool) (applied string, err error) {
	err = p.InTx(ctx, TxOptions{StatementTimeout: m.StatementTimeout, LockTimeout: m.LockTimeout}, func(ctx context.Context, tx *Tx) error {
		applied = ""
		if !m.NoAdvisoryLock {
			if err := tx.Lock(ctx, "migrate "+m.Schema); err != nil {
				return err
			}
		}
		if !m.Existing {
			if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+Identifier(m.Schema)); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, HistoryTable(m.Schema, m.History)); err != nil {
				return err
			}
		}
		pending, err := m.Pending(ctx, tx)
		if err != nil || len(pending) == 0 {
			return err
		}
		mig := pending[0]
		// The row goes first: whoever comes second waits for it, and then finds it there.
		_, err = tx.Exec(ctx, "INSERT INTO "+Qualified(m.Schema, m.History)+" (set_name, name, checksum) VALUES ($1, $2, $3)", m.Set, mig.Name, mig.Checksum())
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SET LOCAL search_path = "+Identifier(m.Schema)); err != nil {
			return err
		}
		if err := m.apply(ctx, tx, mig); err != nil {
			return &MigrationError{m.Schema, m.Set, mig.Name, err}
		}
		applied = mig.Name
		return nil
	})
	return applied, err
}

func (m Migrator) apply(ctx context.Context, tx *Tx, mig Migration) error {
	if m.Split == nil {
		return tx.Script(ctx, "run migration "+mig.Name, mig.SQL)
	}
	statements, err := m.Split(mig.SQL)
	if err != nil {
		return err
	}
	for i, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("statement %d: %w", i+1, err)
		}
	}
	return nil
}
