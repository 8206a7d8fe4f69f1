package vaultdb

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/hardening"
	"github.com/fairleadio/fairlead/internal/postgres/vaultschema"
	"github.com/fairleadio/fairlead/internal/rows"
)

// ApplicationHistory is the table of a schema that remembers the application's migrations.
const ApplicationHistory = "fairlead_application_migration"

// platformHistory is the table that remembers the platform's.
const platformHistory = "fairlead_migration"

// Vaults makes the schemas of virtual nodes in the database that the cluster has for them.
type Vaults struct {
	admin     *postgres.Pool
	clusterID string
}

// New takes the administrator's pool of the database of virtual nodes. The role must be able to make schemas and
// roles.
func New(admin *postgres.Pool, clusterID string) *Vaults { return &Vaults{admin, clusterID} }

// Names returns the names of a virtual node's schema and roles.
func (v *Vaults) Names(shortHash string) Names { return NamesOf(shortHash, v.clusterID) }

// forbidden are the functions that tenants' SQL must not call, beside those of package hardening. Ending a session is not
// among them: a role may end its own only, and the persistence worker ends those that do not heed a cancellation.
const forbidden = `^(pg_advisory_|pg_try_advisory_|pg_sleep|pg_read_|pg_ls_|pg_stat_file|pg_notify$|pg_export_snapshot$|pg_logical_|pg_create_|pg_drop_|pg_replication_|pg_log_backend|lo_|loread$|lowrite$|set_config$|dblink|pg_file_|pg_rotate_|pg_reload_conf$|pg_promote$|pg_switch_wal$|pg_backup_|pg_start_backup|pg_stop_backup|query_to_xml|database_to_xml|schema_to_xml|cursor_to_xml|table_to_xml)`

// revokes are run as the owner of the functions: a superuser.
const revokes = `DO $$
DECLARE f record;
BEGIN
  FOR f IN SELECT p.oid::regprocedure AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
           WHERE n.nspname IN ('pg_catalog', 'public') AND p.proname ~ '` + forbidden + `' AND has_function_privilege('public', p.oid, 'EXECUTE')
  LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f.name);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO CURRENT_USER', f.name);
  END LOOP;
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  REVOKE CREATE ON SCHEMA public FROM PUBLIC;
END $$`

// Harden takes from PUBLIC, in the database of virtual nodes, what tenants' SQL must not do. It may be repeated.
func (v *Vaults) Harden(ctx context.Context) error {
	err := v.admin.InTx(ctx, postgres.TxOptions{}, func(ctx context.Context, tx *postgres.Tx) error {
		if err := tx.Lock(ctx, "harden"); err != nil {
			return err
		}
		return tx.Script(ctx, "revoke what tenants must not do", revokes)
	})
	if err == nil {
		err = hardening.Apply(ctx, v.admin)
	}
	open, cerr := v.open(ctx)
	if cerr != nil {
		return cerr
	}
	if len(open) > 0 {
		return fmt.Errorf("FL-DB-021: in database %s everybody may still execute %s, and %s may not revoke it (%v): run this as a superuser: %s\n%s",
			v.admin.Database(), strings.Join(open, ", "), v.admin.User(), err, revokes, hardening.SQL()) //nolint:errorlint // nil when the server said nothing
	}
	return err
}

// open returns the forbidden functions that PUBLIC may still call.
func (v *Vaults) open(ctx context.Context) ([]string, error) {
	var out []string
	err := v.admin.Each(ctx, func(r postgres.Row) error {
		var name string
		if err := r.Scan(&name); err != nil {
			return fmt.Errorf("read a function's name: %w", err)
		}
		out = append(out, name)
		return nil
	}, `SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
	    WHERE n.nspname IN ('pg_catalog', 'public') AND p.proname ~ $1 AND has_function_privilege('public', p.oid, 'EXECUTE')`, forbidden)
	return out, err
}

// Provide makes the schema and the roles of a virtual node, and gives the roles these passwords. Attempt names who
// makes it: what another attempt left, which never became a virtual node, is dropped first; what this one made stays.
func (v *Vaults) Provide(ctx context.Context, shortHash, attempt, ddlPassword, dmlPassword string) error {
	n := v.Names(shortHash)
	var there, ours bool
	if err := v.admin.One(ctx, []any{&there}, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", n.Schema); err != nil {
		return err
	}
	if there {
		comment := ""
		err := v.admin.One(ctx, []any{&comment}, "SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = $1", n.Schema)
		if err != nil {
			return err
		}
		ours = comment == commentOf(attempt)
		if !ours {
			if err := v.Drop(ctx, shortHash); err != nil {
				return err
			}
		}
	}
	if err := v.SetPassword(ctx, n.DDL, ddlPassword); err != nil {
		return err
	}
	if err := v.SetPassword(ctx, n.DML, dmlPassword); err != nil {
		return err
	}
	return v.granting(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		for _, sql := range append(v.provision(n, attempt), v.grants(n)...) {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
}

// granting runs f alone: grants on the database, all of which change its one row, fail when others change it meanwhile.
func (v *Vaults) granting(ctx context.Context, f func(ctx context.Context, tx *postgres.Tx) error) error {
	return v.admin.InTx(ctx, postgres.TxOptions{Retries: 10}, func(ctx context.Context, tx *postgres.Tx) error {
		if err := tx.Lock(ctx, "grants"); err != nil {
			return err
		}
		return f(ctx, tx)
	})
}

func commentOf(attempt string) string { return "fairlead: " + attempt }

// provision are the statements that make a schema. They may be repeated.
func (v *Vaults) provision(n Names, attempt string) []string {
	schema := postgres.Identifier(n.Schema)
	return []string{
		"CREATE SCHEMA IF NOT EXISTS " + schema,
		"COMMENT ON SCHEMA " + schema + " IS " + postgres.Literal(commentOf(attempt)),
		postgres.HistoryTable(n.Schema, platformHistory),
		postgres.HistoryTable(n.Schema, ApplicationHistory),
	}
}

// grants are what the roles of a schema may do. They may be repeated.
func (v *Vaults) grants(n Names) []string {
	schema, ddl, dml := postgres.Identifier(n.Schema), postgres.Identifier(n.DDL), postgres.Identifier(n.DML)
	history := postgres.Qualified(n.Schema, ApplicationHistory)
	platform := postgres.Qualified(n.Schema, platformHistory)
	out := []string{
		"GRANT CONNECT ON DATABASE " + postgres.Identifier(v.admin.Database()) + " TO " + ddl + ", " + dml,
		"GRANT USAGE, CREATE ON SCHEMA " + schema + " TO " + ddl,
		"GRANT USAGE ON SCHEMA " + schema + " TO " + dml,
		"REVOKE ALL ON " + platform + " FROM " + ddl + ", " + dml,
		"GRANT SELECT ON " + platform + ", " + history + " TO " + dml,
		"GRANT SELECT, INSERT, DELETE ON " + history + " TO " + ddl,
		// What the platform's migrations make from here on is the data role's to use.
		"ALTER DEFAULT PRIVILEGES IN SCHEMA " + schema + " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO " + dml,
		"ALTER DEFAULT PRIVILEGES IN SCHEMA " + schema + " GRANT USAGE, SELECT ON SEQUENCES TO " + dml,
	}
	for _, role := range []string{ddl, dml} {
		out = append(out, "ALTER ROLE "+role+" SET search_path TO "+schema, "ALTER ROLE "+role+" SET timezone TO 'UTC'")
	}
	return out
}

// SetPassword makes a login role that may nothing, or gives it another password.
func (v *Vaults) SetPassword(ctx context.Context, role, password string) error {
	verifier, err := scramVerifier(password)
	if err != nil {
		return err
	}
	var there bool
	if err := v.admin.One(ctx, []any{&there}, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role); err != nil {
		return err
	}
	verb := "CREATE ROLE "
	if there {
		verb = "ALTER ROLE "
	}
	_, err = v.admin.Exec(ctx, verb+postgres.Identifier(role)+" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS PASSWORD "+postgres.Literal(verifier))
	return err
}

// Platform runs the platform's migrations in a schema and returns those that ran.
func (v *Vaults) Platform(ctx context.Context, shortHash string) ([]string, error) {
	m, err := platform(v.Names(shortHash).Schema)
	if err != nil {
		return nil, err
	}
	return m.Run(ctx, v.admin)
}

func platform(schema string) (postgres.Migrator, error) {
	m, err := vaultschema.Migrations()
	return postgres.Migrator{
		Schema: schema, Set: vaultschema.Set, Migrations: m, Existing: true, History: platformHistory, NoAdvisoryLock: true,
	}, err
}

// PlatformElsewhere runs the platform's migrations in a schema of somebody else's database, as its owner, and gives the
// data role what it needs. It returns the migrations that ran.
func PlatformElsewhere(ctx context.Context, p *postgres.Pool, schema, dml string) ([]string, error) {
	var there bool
	// Not the catalog's tables: where that database is hardened too, no tenant may read them.
	if err := p.One(ctx, []any{&there}, "SELECT to_regnamespace($1) IS NOT NULL", postgres.Identifier(schema)); err != nil {
		return nil, err
	}
	var statements []string
	if !there {
		statements = append(statements, "CREATE SCHEMA "+postgres.Identifier(schema))
	}
	statements = append(statements, postgres.HistoryTable(schema, platformHistory), postgres.HistoryTable(schema, ApplicationHistory),
		"GRANT USAGE ON SCHEMA "+postgres.Identifier(schema)+" TO "+postgres.Identifier(dml),
		"GRANT SELECT ON "+postgres.Qualified(schema, platformHistory)+", "+postgres.Qualified(schema, ApplicationHistory)+" TO "+postgres.Identifier(dml))
	for _, sql := range statements {
		if _, err := p.Exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	if err := Prepare(ctx, p, schema, dml); err != nil {
		return nil, err
	}
	m, err := platform(schema)
	if err != nil {
		return nil, err
	}
	return m.Run(ctx, p)
}

// PlatformLacks returns the platform's migrations that have not run in a schema.
func PlatformLacks(ctx context.Context, q postgres.Queryer, schema string) ([]string, error) {
	m, err := platform(schema)
	if err != nil {
		return nil, err
	}
	pending, err := m.Pending(ctx, q)
	var out []string
	for _, x := range pending {
		out = append(out, x.Name)
	}
	return out, err
}

// Exists tells whether a virtual node has a schema here.
func (v *Vaults) Exists(ctx context.Context, shortHash string) (bool, error) {
	var there bool
	err := v.admin.One(ctx, []any{&there}, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", v.Names(shortHash).Schema)
	return there, err
}

// Regrant gives the roles of a schema what [Vaults.Provide] gave them.
func (v *Vaults) Regrant(ctx context.Context, shortHash string) error {
	return v.granting(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		for _, sql := range v.grants(v.Names(shortHash)) {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
}

// Drop removes a virtual node's schema, all that is in it, and its roles.
func (v *Vaults) Drop(ctx context.Context, shortHash string) error {
	n := v.Names(shortHash)
	if _, err := v.admin.Exec(ctx, "DROP SCHEMA IF EXISTS "+postgres.Identifier(n.Schema)+" CASCADE"); err != nil {
		return err
	}
	for _, role := range []string{n.DDL, n.DML} {
		var there bool
		if err := v.admin.One(ctx, []any{&there}, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role); err != nil {
			return err
		}
		if !there {
			continue
		}
		err := v.granting(ctx, func(ctx context.Context, tx *postgres.Tx) error {
			for _, sql := range []string{"DROP OWNED BY " + postgres.Identifier(role) + " CASCADE", "DROP ROLE " + postgres.Identifier(role)} {
				if _, err := tx.Exec(ctx, sql); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Strays are the tables, functions and types in a virtual node's schema that have names of fairlead's own and are not
// its: a migration made them in a body that [Split] does not read. Left alone they would stand in the way of the
// platform's next migration.
func (v *Vaults) Strays(ctx context.Context, shortHash string) ([]string, error) {
	n := v.Names(shortHash)
	var out []string
	err := v.admin.Each(ctx, func(r postgres.Row) error {
		var name string
		err := r.Scan(&name)
		out = append(out, name)
		return err
	}, `SELECT DISTINCT s.name FROM pg_namespace n JOIN (
  SELECT relnamespace AS space, relowner AS owner, relname AS name FROM pg_class
  UNION ALL SELECT pronamespace, proowner, proname FROM pg_proc
  UNION ALL SELECT typnamespace, typowner, typname FROM pg_type WHERE typtype <> 'b'
) s ON s.space = n.oid JOIN pg_roles r ON r.oid = s.owner
WHERE n.nspname = $1 AND r.rolname IN ($2, $3) AND (starts_with(s.name::text, $4) OR starts_with(s.name::text, $5)) ORDER BY s.name`,
		n.Schema, n.DDL, n.DML, rows.Reserved, rows.ReservedHistory)
	return out, err
}

// End ends the session with a process id, as the role that it belongs to: SQL of strangers can catch a cancellation and
// go on when nobody listens any more, but it cannot catch this. A session that has ended is no error.
func (v *Vaults) End(ctx context.Context, t Target, pid int) error {
	p, err := v.Connect(ctx, t)
	if err != nil {
		return err
	}
	defer p.Close()
	if _, err := p.Exec(ctx, "SELECT pg_terminate_backend($1)", pid); err != nil {
		return fmt.Errorf("end session %d of %s: %w", pid, t.User, err)
	}
	return nil
}

// Target is a schema, reached as one of its roles.
type Target struct {
	// Address is a postgres URL without credentials; empty: the cluster's own database of virtual nodes.
	Address                string
	Schema, User, Password string
}

// Connect makes a pool of one connection to a target, for migrations and checks. The caller closes it.
func (v *Vaults) Connect(ctx context.Context, t Target) (*postgres.Pool, error) {
	cfg := postgres.Config{
		URL: t.Address, User: t.User, Password: t.Password, MaxConns: 1, SearchPath: t.Schema, Application: "fairlead migrations",
	}
	if t.Address == "" {
		cfg.URL, cfg.Database = v.admin.Address(), v.admin.Database()
	}
	return postgres.Open(ctx, cfg)
}

// Limits bound the migrations of a package.
type Limits struct {
	// Statement bounds each statement, Lock the wait for locks, Whole one migration.
	Statement, Lock, Whole time.Duration
}

// DefaultLimits are five minutes a statement, ten seconds for a lock, half an hour for a migration.
func DefaultLimits() Limits {
	return Limits{Statement: 5 * time.Minute, Lock: 10 * time.Second, Whole: 30 * time.Minute}
}

// Application is a CPK's migrations in a schema.
func Application(schema, cpk string, m []postgres.Migration, l Limits) postgres.Migrator {
	return postgres.Migrator{
		Schema: schema, Set: cpk, Migrations: m, History: ApplicationHistory, Existing: true, NoAdvisoryLock: true, Split: Split,
		StatementTimeout: l.Statement, LockTimeout: l.Lock,
	}
}

// Prepare makes what the ddl role makes from here on the dml role's to use. It is run as the ddl role, which alone may
// say so.
func Prepare(ctx context.Context, q postgres.Queryer, schema, dml string) error {
	for _, sql := range []string{
		"ALTER DEFAULT PRIVILEGES IN SCHEMA " + postgres.Identifier(schema) + " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO " + postgres.Identifier(dml),
		"ALTER DEFAULT PRIVILEGES IN SCHEMA " + postgres.Identifier(schema) + " GRANT USAGE, SELECT ON SEQUENCES TO " + postgres.Identifier(dml),
	} {
		if _, err := q.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// Reset drops what the application's migrations made, and their history. The platform's tables stay. It is run as the
// ddl role; Provide and [Prepare] must follow, for the role loses its grants too.
func Reset(ctx context.Context, p *postgres.Pool, schema string) error {
	return p.InTx(ctx, postgres.TxOptions{}, func(ctx context.Context, tx *postgres.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM "+postgres.Qualified(schema, ApplicationHistory)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "DROP OWNED BY CURRENT_USER CASCADE")
		return err
	})
}
