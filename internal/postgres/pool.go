package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config says where a database is and how it is used. Only URL must be set.
type Config struct {
	// URL is postgres://user@host:port/database?options or the keyword form.
	URL string
	// User, Password and Database, when set, take the place of those in URL.
	User, Password, Database string
	// MaxConns bounds the connections of the pool. Default 10.
	MaxConns int
	// MaxIdleTime is after how long an idle connection is closed. Default five minutes.
	MaxIdleTime time.Duration
	// ConnectTimeout bounds the making of one connection. Default 5 s.
	ConnectTimeout time.Duration
	// StatementTimeout, LockTimeout and IdleTimeout are the server's own bounds on a statement, on the wait for a lock
	// and on a transaction that does nothing. Defaults 30 s, 10 s and 60 s.
	StatementTimeout, LockTimeout, IdleTimeout time.Duration
	// SearchPath is the schema of unqualified names; empty leaves the server's.
	SearchPath string
	// Discard runs DISCARD ALL before a connection is used again: for connections on which others' SQL runs.
	Discard bool
	// Application is the name that the server shows. Default "fairlead".
	Application string
	// Pulse is told of the connections that are made; nil for none.
	Pulse *Pulse
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.MaxIdleTime, 5*time.Minute)
	set(&c.ConnectTimeout, 5*time.Second)
	set(&c.StatementTimeout, 30*time.Second)
	set(&c.LockTimeout, 10*time.Second)
	set(&c.IdleTimeout, time.Minute)
	if c.MaxConns == 0 {
		c.MaxConns = 10
	}
	if c.Application == "" {
		c.Application = "fairlead"
	}
	return c
}

// Pool is a set of connections to one database as one user.
type Pool struct {
	pool    *pgxpool.Pool
	address string
}

// Open makes a pool. It connects when it is used, not here: only a wrong URL is told.
func Open(ctx context.Context, cfg Config) (*Pool, error) {
	cfg = cfg.withDefaults()
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		// pgx's own text may quote the URL with its password.
		return nil, errors.New("the database URL cannot be read: write postgres://user@host:port/database, the password apart")
	}
	if cfg.User != "" {
		pc.ConnConfig.User = cfg.User
	}
	if cfg.Password != "" {
		pc.ConnConfig.Password = cfg.Password
	}
	if cfg.Database != "" {
		pc.ConnConfig.Database = cfg.Database
	}
	pc.MaxConns = int32(cfg.MaxConns)
	pc.MinConns = 0
	pc.MaxConnIdleTime = cfg.MaxIdleTime
	pc.ConnConfig.ConnectTimeout = cfg.ConnectTimeout
	maps.Copy(pc.ConnConfig.RuntimeParams, map[string]string{
		"application_name":                    cfg.Application,
		"statement_timeout":                   millis(cfg.StatementTimeout),
		"lock_timeout":                        millis(cfg.LockTimeout),
		"idle_in_transaction_session_timeout": millis(cfg.IdleTimeout),
		"timezone":                            "UTC",
	})
	SetKeepalives(pc.ConnConfig.RuntimeParams)
	if cfg.Pulse != nil {
		pc.ConnConfig.Tracer = connectTracer{cfg.Pulse}
	}
	if cfg.SearchPath != "" {
		pc.ConnConfig.RuntimeParams["search_path"] = Identifier(cfg.SearchPath)
	}
	if cfg.Discard {
		// A prepared statement does not outlive DISCARD ALL.
		pc.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
		pc.AfterRelease = discard
	}
	p, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, classify("make a pool of connections", err)
	}
	return &Pool{pool: p, address: address(pc.ConnConfig, cfg.URL)}, nil
}

// SetKeepalives makes a server notice within half a minute that the other end of a connection is gone without a word, with the host that it
// was on: until then the session's locks are held, which other processes wait for. So ends, too, a session whose other end does not
// read for that long what the server has for it. Parameters that are set stay; an empty value leaves one out.
func SetKeepalives(params map[string]string) {
	for name, value := range map[string]string{
		"tcp_keepalives_idle":     "10",    // seconds
		"tcp_keepalives_interval": "5",     // seconds
		"tcp_keepalives_count":    "3",     //
		"tcp_user_timeout":        "25000", // milliseconds: for what the server sent last, of which keepalives know nothing
	} {
		switch set, there := params[name]; {
		case !there:
			params[name] = value
		case set == "":
			delete(params, name)
		}
	}
}

// address is a URL without credentials. The mode of TLS, and what [SetKeepalives] sets, are taken over from what was given.
func address(c *pgx.ConnConfig, given string) string {
	u := url.URL{Scheme: "postgres", Host: net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), Path: "/" + c.Database}
	q := url.Values{}
	if strings.HasPrefix(c.Host, "/") { // a socket's folder
		u.Host = ""
		q.Set("host", c.Host)
		q.Set("port", strconv.Itoa(int(c.Port)))
	}
	if g, err := url.Parse(given); err == nil {
		for name, v := range g.Query() {
			if name == "sslmode" || name == "sslrootcert" || strings.HasPrefix(name, "tcp_") {
				q.Set(name, v[0])
			}
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func discard(c *pgx.Conn) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := c.Exec(ctx, "DISCARD ALL")
	return err == nil
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Close closes the connections and waits for those in use.
func (p *Pool) Close() { p.pool.Close() }

// Database returns the name of the database and User the role that the pool connects as.
func (p *Pool) Database() string { return p.pool.Config().ConnConfig.Database }

// Address returns the URL of the pool's server and database, without credentials.
func (p *Pool) Address() string { return p.address }

// User returns the role that the pool connects as.
func (p *Pool) User() string { return p.pool.Config().ConnConfig.User }

// Ping asks the server for a sign of life.
func (p *Pool) Ping(ctx context.Context) error {
	return classify("ping the database", p.pool.Ping(ctx))
}

// Stats are the connections of a pool.
type Stats struct {
	// Open are all connections, Busy those in use, Max the bound.
	Open, Busy, Max int
}

// Stats returns how many connections there are.
func (p *Pool) Stats() Stats {
	s := p.pool.Stat()
	return Stats{Open: int(s.TotalConns()), Busy: int(s.AcquiredConns()), Max: int(s.MaxConns())}
}

// Queryer is what runs statements: a [Pool], each on a connection of its own; a [Conn]; or a [Tx].
type Queryer interface {
	// Exec runs a statement and returns how many rows it concerned.
	Exec(ctx context.Context, sql string, args ...any) (int64, error)
	// Each runs a query and calls f for each row, while the rows come in.
	Each(ctx context.Context, f func(Row) error, sql string, args ...any) error
	// One runs a query and scans its first row; [ErrNoRows] when there is none.
	One(ctx context.Context, dest []any, sql string, args ...any) error
}

// Row is a row of a result.
type Row interface {
	// Scan copies the columns into what dest points to.
	Scan(dest ...any) error
	// Values returns the columns in the driver's types.
	Values() ([]any, error)
}

// ErrNoRows tells that a query that should find a row found none.
var ErrNoRows = errors.New("no such row")

// pgxQueryer is what pgx's pools, connections and transactions have in common.
type pgxQueryer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func exec(ctx context.Context, q pgxQueryer, sql string, args []any) (int64, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return 0, classify(doing(sql), err)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return 0, classify(doing(sql), err)
	}
	return rows.CommandTag().RowsAffected(), nil
}

func each(ctx context.Context, q pgxQueryer, f func(Row) error, sql string, args []any) error {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return classify(doing(sql), err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return classify(doing(sql), rows.Err())
}

func one(ctx context.Context, q pgxQueryer, dest []any, sql string, args []any) error {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return classify(doing(sql), err)
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return classify(doing(sql), err)
		}
		return ErrNoRows
	}
	if err := rows.Scan(dest...); err != nil {
		return classify(doing(sql), err)
	}
	rows.Close()
	return classify(doing(sql), rows.Err())
}

// Exec is [Queryer]'s.
func (p *Pool) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	return exec(ctx, p.pool, sql, args)
}

// Each is [Queryer]'s.
func (p *Pool) Each(ctx context.Context, f func(Row) error, sql string, args ...any) error {
	return each(ctx, p.pool, f, sql, args)
}

// One is [Queryer]'s.
func (p *Pool) One(ctx context.Context, dest []any, sql string, args ...any) error {
	return one(ctx, p.pool, dest, sql, args)
}

// Parse has the server parse a statement, with these object ids of its parameters' types, and find what it names; it is
// not run, and nothing is left of it. What the role may do is looked at only when a statement runs.
func (p *Pool) Parse(ctx context.Context, sql string, types []uint32) error {
	c, err := p.pool.Acquire(ctx)
	if err != nil {
		return classify("take a connection", err)
	}
	defer c.Release()
	return parse(ctx, c.Conn(), sql, types)
}

func parse(ctx context.Context, c *pgx.Conn, sql string, types []uint32) error {
	_, err := c.PgConn().Prepare(ctx, "", sql, types)
	return classify("parse a statement", err)
}

// Conn is one connection, held until [Conn.Release].
type Conn struct{ conn *pgxpool.Conn }

// Acquire takes a connection out of the pool: for what belongs to a session, such as an advisory lock.
func (p *Pool) Acquire(ctx context.Context) (*Conn, error) {
	c, err := p.pool.Acquire(ctx)
	if err != nil {
		return nil, classify("take a connection", err)
	}
	return &Conn{c}, nil
}

// Release gives the connection back.
func (c *Conn) Release() { c.conn.Release() }

// Close ends the connection instead of giving it back, and what belonged to its session.
func (c *Conn) Close(ctx context.Context) error {
	raw := c.conn.Hijack()
	if err := raw.Close(ctx); err != nil {
		return fmt.Errorf("close a connection: %w", err)
	}
	return nil
}

// Exec is [Queryer]'s.
func (c *Conn) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	return exec(ctx, c.conn, sql, args)
}

// Each is [Queryer]'s.
func (c *Conn) Each(ctx context.Context, f func(Row) error, sql string, args ...any) error {
	return each(ctx, c.conn, f, sql, args)
}

// One is [Queryer]'s.
func (c *Conn) One(ctx context.Context, dest []any, sql string, args ...any) error {
	return one(ctx, c.conn, dest, sql, args)
}
