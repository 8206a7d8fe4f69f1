package devenv

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/vault"
	"github.com/fairleadio/fairlead/internal/vaultdb"
	"github.com/fairleadio/fairlead/topics"
)

// This file uses servers of others in place of those that dev brings.

// RealPostgres is a Postgres server that dev did not start. The zero value is none.
type RealPostgres struct {
	// URL is postgres://user@host:port/database; the database is where the user logs in to make the cluster's two.
	URL string
	// Password is used when URL has none; when both have none, the driver looks where Postgres' own clients do.
	Password string
}

// RealVault is a Vault server that dev did not start. The zero value is none.
type RealVault struct {
	// Address is its URL.
	Address string
	// Token may mount engines and logins and write policies. It is used to set the server up and is not kept; a directory
	// that has been set up needs none.
	Token string
	// Namespace and CAFile are as in [vault.Config].
	Namespace, CAFile string
}

// Bounds of the first look at a server.
const (
	lookTime    = 10 * time.Second
	minPostgres = 130000
)

// RealError tells why a server that a flag names cannot be used.
type RealError struct {
	// Flag names the server, Address says where it is.
	Flag, Address string
	Err           error
	// Do says what to do.
	Do string
}

// Error says what to do.
func (e *RealError) Error() string {
	return fmt.Sprintf("FL-DEV-010: %s %s: %v: %s", e.Flag, e.Address, e.Err, e.Do)
}

func (e *RealError) Unwrap() error { return e.Err }

// checkReal refuses servers that no worker would use, and addresses that are none.
func checkReal(o Options) error {
	if o.Postgres.URL != "" && !whole(o.Workers) {
		return fmt.Errorf("--postgres: no worker type of --workers %s uses Postgres: leave one of the two out", strings.Join(o.Workers, ","))
	}
	if o.Vault.Address != "" && !slices.Contains(o.Workers, app.Crypto) {
		return fmt.Errorf("--vault: no worker type of --workers %s uses Vault: leave one of the two out", strings.Join(o.Workers, ","))
	}
	if o.Postgres.URL != "" {
		if _, err := postgresURL(o.Postgres.URL); err != nil {
			return err
		}
	}
	if a := o.Vault.Address; a != "" {
		if u, err := url.Parse(a); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("--vault: %q is not a URL such as https://vault.example.org:8200", a)
		}
	}
	return nil
}

// postgresURL reads the URL of a server. Its error does not quote it, for it may hold a password.
func postgresURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Host == "" {
		return nil, errors.New("--postgres: not a URL such as postgres://user@db.example.org:5432/postgres")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/postgres"
	}
	return u, nil
}

// RedactPostgres splits a password from a URL, so that the URL can be shown and put on command lines.
func RedactPostgres(text string) (without, password string) {
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return text, ""
	}
	password, _ = u.User.Password()
	u.User = url.User(u.User.Username())
	return u.String(), password
}

// databases is how the workers reach Postgres.
type databases struct{ cluster, vnodes, password string }

// usePostgres looks at a server of others and makes the cluster's databases there.
func (c *Cluster) usePostgres(ctx context.Context) (what string, err error) {
	u, err := postgresURL(c.opts.Postgres.URL)
	if err != nil {
		return "", err
	}
	address := "postgres://" + u.Host
	in := func(database string) string {
		to := *u
		to.Path = "/" + database
		return to.String()
	}
	open := func(text string) (*postgres.Pool, error) {
		cfg := postgres.Config{URL: text, MaxConns: 1, ConnectTimeout: lookTime / 2}
		if _, has := u.User.Password(); !has {
			cfg.Password = c.opts.Postgres.Password
		}
		return postgres.Open(ctx, cfg)
	}
	pool, err := open(u.String())
	if err != nil {
		return "", fmt.Errorf("--postgres: %w", err)
	}
	defer pool.Close()
	bad := func(err error) error { return postgresError(address, pool.User(), err) }
	look, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var version string
	var number int
	var super, createDB, createRole bool
	err = pool.One(look, []any{&version, &number, &super, &createDB, &createRole},
		"SELECT current_setting('server_version'), current_setting('server_version_num')::int, rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user")
	if err != nil {
		return "", bad(err)
	}
	version, _, _ = strings.Cut(version, " ")
	if number < minPostgres {
		return "", &RealError{"--postgres", address, fmt.Errorf("it is PostgreSQL %s", version), "13 or later is needed"}
	}
	if !super && !createRole {
		return "", &RealError{"--postgres", address, fmt.Errorf("user %s may not make roles, and each virtual node needs two", pool.User()),
			"a superuser can allow it: ALTER ROLE " + postgres.Identifier(pool.User()) + " CREATEROLE"}
	}
	at := c.places.get()
	names := []string{at.database(clusterDatabase), at.database(vnodeDatabase)}
	for _, name := range names {
		var there bool
		if err := pool.One(look, []any{&there}, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name); err != nil {
			return "", bad(err)
		}
		switch {
		case there:
		case at.Postgres != nil && at.Postgres.Cluster != "":
			return "", &PlaceError{c.dir.path, "databases", fmt.Sprintf("at %s, and at %s there is no %s", at.Postgres.Address, address, name), "name the server that has it with --postgres"}
		case !super && !createDB:
			user := postgres.Identifier(pool.User())
			return "", &RealError{"--postgres", address, fmt.Errorf("user %s may not make databases", pool.User()), fmt.Sprintf(
				"a superuser can allow it (ALTER ROLE %s CREATEDB), or make both: CREATE DATABASE %s OWNER %s; CREATE DATABASE %s OWNER %s", user, names[0], user, names[1], user)}
		default:
			if err := c.places.change(func(p *places) { p.Postgres = &postgresPlace{Address: address} }); err != nil {
				return "", err
			}
			if _, err := pool.Exec(ctx, "CREATE DATABASE "+postgres.Identifier(name)); err != nil {
				return "", bad(err)
			}
		}
	}
	if err := c.places.change(func(p *places) {
		if p.Postgres == nil {
			p.Postgres = &postgresPlace{}
		}
		p.Postgres.Address = address
	}); err != nil {
		return "", err
	}
	vnodes, err := open(in(names[1]))
	if err != nil {
		return "", bad(err)
	}
	defer vnodes.Close()
	// The database worker does the same; here its refusal is told before anything runs.
	if err := vaultdb.New(vnodes, "").Harden(ctx); err != nil {
		return "", bad(err)
	}
	c.databases = databases{in(names[0]), in(names[1]), c.opts.Postgres.Password}
	if _, has := u.User.Password(); has {
		c.databases.password = ""
	}
	c.info.Postgres = address
	return "PostgreSQL " + version + " at " + address, nil
}

// notePostgres remembers the cluster's id, by which its roles are found.
func (c *Cluster) notePostgres(ctx context.Context) error {
	at := c.places.get().Postgres
	if at == nil || at.Own || at.Cluster != "" {
		return nil
	}
	pool, err := postgres.Open(ctx, postgres.Config{URL: c.databases.cluster, Password: c.databases.password, MaxConns: 1, SearchPath: clusterdb.Schema})
	if err != nil {
		return err
	}
	defer pool.Close()
	id, err := clusterdb.ClusterID(ctx, pool)
	if err != nil {
		return fmt.Errorf("asking for the cluster's id: %w", err)
	}
	return c.places.change(func(p *places) { p.Postgres.Cluster = id })
}

// postgresError says what an error of the server asks for.
func postgresError(address, user string, err error) error {
	var e *postgres.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("--postgres %s: %w", address, err) // it says what to do
	}
	said := errors.New(strings.Join(strings.Fields(e.Message), " "))
	switch {
	case e.Code == "28P01" || e.Code == "28000":
		return &RealError{"--postgres", address, said, "give the password of " + user + " with PGPASSWORD, or in a file that PGPASSFILE names"}
	case e.Code == "3D000":
		return &RealError{"--postgres", address, said, "name a database that is there, such as /postgres; the cluster's own are made beside it"}
	case e.Class == postgres.Access:
		return &RealError{"--postgres", address, err, "give user " + user + " the right, or name another user"}
	case e.Class == postgres.Unavailable, e.Class == postgres.Timeout:
		return &RealError{"--postgres", address, said, "is the server running, and are host, port and sslmode right?"}
	}
	return &RealError{"--postgres", address, err, "see the server's log"}
}

// useVault looks at a server of others and sets it up for the crypto worker.
func (c *Cluster) useVault(ctx context.Context) (what string, err error) {
	v, at := c.opts.Vault, c.places.get()
	set := vault.SetupConfig{
		Address: v.Address, Token: v.Token, Namespace: v.Namespace, CAFile: v.CAFile, Name: at.vaultName(), Mount: at.vaultName(),
		Dir: c.dir.join(vaultDir + "-" + at.ID), Existing: at.Vault != nil && at.Vault.Ready, Log: c.log,
	}
	bad := func(err error) error { return c.vaultError(set, err) }
	anonymous := set
	anonymous.Token = ""
	version, err := vault.Look(ctx, anonymous)
	if err != nil {
		return "", bad(err)
	}
	if v.Token == "" {
		if !set.Existing {
			return "", &RealError{"--vault", v.Address, errors.New("no token is given"), "set VAULT_TOKEN to one that may mount engines and logins and write policies"}
		}
		c.vaultConfig = set.Config()
		if err := vault.TryLogin(ctx, c.vaultConfig); err != nil {
			return "", bad(err)
		}
	} else if err := c.setUpVault(ctx, set, bad); err != nil {
		return "", err
	}
	c.info.Vault = v.Address
	return "Vault " + version + " at " + v.Address, nil
}

func (c *Cluster) setUpVault(ctx context.Context, set vault.SetupConfig, bad func(error) error) error {
	_, err := vault.Look(ctx, set)
	if err == nil {
		if !set.Existing {
			if err := c.places.change(func(p *places) { p.Vault = &vaultPlace{Address: set.Address} }); err != nil {
				return err
			}
		}
		if c.vaultConfig, err = vault.Setup(ctx, set); err == nil {
			return c.places.change(func(p *places) { p.Vault = &vaultPlace{Address: set.Address, Ready: true} })
		}
	}
	if kind := vault.KindOf(err); set.Existing && (kind == vault.LoggedOut || kind == vault.Denied) {
		// The token is for setting up alone; an old one in the environment does not matter while the login works.
		c.vaultConfig = set.Config()
		if vault.TryLogin(ctx, c.vaultConfig) == nil {
			c.log.Warn("Vault does not take the token in VAULT_TOKEN; what was set up before is used", "error", err)
			return nil
		}
	}
	return bad(err)
}

// vaultError says what an error of the server asks for.
func (c *Cluster) vaultError(set vault.SetupConfig, err error) error {
	do := "see the server's log"
	switch vault.KindOf(err) {
	case vault.Sealed:
		do = "initialise and unseal it (vault operator init, vault operator unseal), then start again"
	case vault.Unreachable:
		do = "is the server running, and is the address right? The CA of its certificate is read from VAULT_CACERT"
	case vault.LoggedOut:
		do = "set VAULT_TOKEN to a token that is good (vault login, vault token lookup)"
	case vault.Denied:
		do = "the token in VAULT_TOKEN needs the policy in docs/write-an-app/development.md"
	case vault.NotFound:
		if at := c.places.get().Vault; at != nil {
			return &PlaceError{c.dir.path, "keys", fmt.Sprintf("at %s, and at %s there is no engine %s (%v)", at.Address, set.Address, set.Mount, err), "name the server that has it with --vault"}
		}
	case vault.Permanent:
	}
	return &RealError{"--vault", set.Address, err, do}
}

// connectKafka says how the brokers are reached.
func (c *Cluster) connectKafka(brokers []string) (kafkaadmin.Connection, error) {
	conn := kafkaadmin.Connection{}
	if c.opts.KafkaConfig != "" && len(c.opts.Kafka) > 0 {
		var err error
		if conn, err = kafkaadmin.ReadProperties(c.opts.KafkaConfig); err != nil {
			return conn, err
		}
	}
	conn.Brokers, conn.Prefix, conn.ClientID = brokers, c.opts.Prefix, "fairlead-dev"
	return conn, nil
}

// claimKafka looks at a Kafka of others before anything is written to it.
func (c *Cluster) claimKafka(ctx context.Context) error {
	address := strings.Join(c.info.Brokers, ",")
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	if err := c.cluster.admin.Ping(ctx); err != nil {
		return kafkaError(address, err)
	}
	now, err := c.cluster.admin.Cluster(ctx)
	if err != nil {
		return kafkaError(address, err)
	}
	at := c.places.get().Kafka
	if at != nil && at.ClusterID != "" && at.ClusterID != now.ID {
		return &PlaceError{c.dir.path, "topics", fmt.Sprintf("in Kafka cluster %s, which was at %s; at %s is cluster %s", at.ClusterID, strings.Join(at.Brokers, ","), address, now.ID),
			"name its brokers with --kafka"}
	}
	if at == nil {
		if err := c.vacant(ctx, now); err != nil {
			return err
		}
	}
	return c.places.change(func(p *places) {
		p.Kafka = &kafkaPlace{ClusterID: now.ID, Brokers: c.info.Brokers, Prefix: c.opts.Prefix}
	})
}

// vacant refuses topics that hold another cluster: its users and virtual nodes would be taken for strays, and removed.
func (c *Cluster) vacant(ctx context.Context, now topics.Cluster) error {
	var names []string
	for _, name := range []string{topics.RBACUser, topics.VirtualNodeInfo} {
		if slices.ContainsFunc(now.Topics, func(t topics.Existing) bool { return t.Name == name }) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	held := false
	err := c.cluster.admin.Read(ctx, kafkaadmin.Range{Topics: names}, func(kafkaadmin.Record) error { held = true; return nil })
	if err != nil {
		return kafkaError(strings.Join(c.info.Brokers, ","), err)
	}
	if held {
		return &RealError{"--kafka", strings.Join(c.info.Brokers, ","), fmt.Errorf("its topics under the prefix %q hold a cluster that is not this directory's", c.opts.Prefix),
			"give this one topics of its own, with --prefix " + filepath.Base(c.dir.path) + "."}
	}
	return nil
}

// kafkaError says what an error of the brokers asks for.
func kafkaError(address string, err error) error {
	do := "are the brokers running, and are the addresses right?"
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.UnsupportedSaslMechanism):
		do = "put the right user, password and mechanism into the file of --kafka-config"
	case errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed), errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		do = "the user needs the rights to make, configure, read and write topics, and to use groups and transactional ids"
	}
	return &RealError{"--kafka", address, err, do}
}
